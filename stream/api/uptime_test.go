package api

import (
	"strings"
	"testing"
)

// A page that nothing is known of claims no uptime.
func TestUptimeOnThePage(t *testing.T) {
	s := start(t)
	for path, want := range map[string]bool{"/acme": true, "/open": false} {
		if _, body := s.get(t, path); strings.Contains(body, "% uptime") != want {
			t.Errorf("%s: uptime shown: %v\n%s", path, !want, body)
		}
	}
}
