package api

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"statustail/stream/change"
	"statustail/stream/live"
)

func TestReadiness(t *testing.T) {
	away := errors.New("no primary")
	for _, test := range []struct {
		health   live.Health
		draining bool
		code     int
		status   string
	}{
		{live.Health{}, false, 503, "starting"},
		{live.Health{Err: away}, false, 503, "starting"},
		{live.Health{CaughtUp: true}, false, 200, "ready"},
		{live.Health{CaughtUp: true, Err: away}, false, 200, "degraded"},
		{live.Health{CaughtUp: true}, true, 503, "draining"},
	} {
		code, body := readiness(test.health, test.draining)
		if code != test.code || body["status"] != test.status {
			t.Errorf("%+v, draining %v: %d %v", test.health, test.draining, code, body)
		}
		if test.status != "ready" && body["reason"] == "" {
			t.Errorf("%s: no reason", test.status)
		}
	}
}

func TestOpsLog(t *testing.T) {
	log := NewOpsLog()
	s := httptest.NewServer(NewOps(OpsConfig{
		Health: func() live.Health { return live.Health{CaughtUp: true} }, Draining: func() bool { return false },
		Gatherer: prometheus.NewRegistry(), Log: log,
	}))
	defer s.Close()
	log.Observe(live.Activity{Kind: "hint"}) // nobody listens: goes nowhere

	req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, s.URL+"/tail", nil)
	req.Header.Set("Last-Event-ID", "not a number")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	// The answer begins after the session is registered.
	for range 5000 { // far more than the session's buffer: nobody may block
		log.Observe(live.Activity{Kind: "reload", Page: "acme", At: change.Position(255)})
	}
	lines := bufio.NewReader(res.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "data: ") {
			if !strings.Contains(line, `"page":"acme"`) || !strings.Contains(line, `"position":"00000000000000ff"`) {
				t.Errorf("line %q", line)
			}
			break
		}
	}
	log.Close()
	for err == nil {
		_, err = lines.ReadString('\n')
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": ""} {
		res, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := bufio.NewReader(res.Body).ReadString(0)
		res.Body.Close()
		if res.StatusCode != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %q", path, res.StatusCode, body)
		}
	}
}
