package hund

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"statustail/stream/change"
	"statustail/stream/markdown"
	"statustail/stream/status"
)

// A snapshot fits into the line buffers of clients, whatever was written: the
// oldest updates go first, then bodies become shorter, and it says so.
func TestSnapshotIsBounded(t *testing.T) {
	text := func(n int) status.Text {
		html, plain := markdown.Render(strings.Repeat("It is *being* looked at, ünd <more>. ", n/36+1))
		return status.Text{HTML: html, Plain: plain}
	}
	for _, test := range []struct {
		name                        string
		issues, updates, size       int
		truncated, everyUpdateStays bool
	}{
		{"small", 3, 3, 100, false, true},
		{"many updates", 2, 250, 1000, true, false},
		{"large bodies", 1, 1, 500_000, true, true},
		{"many large issues", 100, 3, 5000, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			page := status.Page{ID: "acme", Name: "Acme"}
			for i := range test.issues {
				is := status.Issue{ID: fmt.Sprint("i", i), Title: "Slow logins", Kind: status.Incident, State: status.Degraded, CreatedAt: noon, UpdatedAt: noon, Body: text(test.size)}
				for u := range test.updates {
					is.Updates = append(is.Updates, status.Update{ID: fmt.Sprint("u", u), Body: text(test.size), CreatedAt: noon.Add(-time.Duration(test.updates-u) * time.Minute)})
				}
				page.Issues = append(page.Issues, is)
			}
			v, e, m := page.At(noon), Encoder{}, change.Moment{Now: noon}
			facts := e.Facts(v, m)
			if len(facts) > MaxFacts {
				t.Errorf("%d bytes", len(facts))
			}
			var got Facts
			if err := json.Unmarshal(append([]byte("{"), facts[1:]...), &got); err != nil {
				t.Fatal(err)
			}
			if got.Truncated != test.truncated || len(got.Issues) != test.issues {
				t.Errorf("truncated %v, %d issues", got.Truncated, len(got.Issues))
			}
			for _, is := range got.Issues {
				if len(is.Updates) == 0 || is.Updates[0].ID != fmt.Sprint("u", test.updates-1) {
					t.Fatalf("issue %s lacks its newest update", is.ID)
				}
				if test.everyUpdateStays && len(is.Updates) != test.updates {
					t.Errorf("issue %s has %d updates", is.ID, len(is.Updates))
				}
				if strings.Contains(is.Body, "<more>") {
					t.Errorf("a body that was cut is no longer escaped: %.80s", is.Body)
				}
			}
		})
	}
}
