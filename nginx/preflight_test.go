package nginx

import (
	"net/http"
	"testing"
)

// A preflight on a stream reaches statustail with what the browser asks, and
// its answer the browser. So does a stream's request: with what it resumes
// from and its token, but nothing else that a browser sends.
func TestStreamsRequestsReachTheServer(t *testing.T) {
	var got *http.Request
	p := startNginx(t, &site{upstream: backend(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		w.WriteHeader(http.StatusNoContent)
	})})
	for _, c := range []struct {
		method  string
		headers map[string]string
	}{
		{http.MethodOptions, map[string]string{
			"Origin":                         "https://shop.example",
			"Access-Control-Request-Method":  "GET",
			"Access-Control-Request-Headers": "authorization,cache-control,last-event-id",
		}},
		{http.MethodGet, map[string]string{
			"Origin":        "https://shop.example",
			"Last-Event-ID": "6745f0a100000001-2",
			"Authorization": "Bearer s3cret",
		}},
	} {
		req, err := http.NewRequest(c.method, "http://"+p.addr+live, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range c.headers {
			req.Header.Set(name, value)
		}
		req.Header.Set("Cookie", "all=mine")
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusNoContent || res.Header.Get("Access-Control-Allow-Origin") != "https://shop.example" ||
			res.Header.Get("Access-Control-Allow-Headers") != c.headers["Access-Control-Request-Headers"] {
			t.Errorf("%s: the browser gets %s %v", c.method, res.Status, res.Header)
		}
		for name, value := range c.headers {
			if have := got.Header.Get(name); have != value {
				t.Errorf("%s: %s is %q, want %q", c.method, name, have, value)
			}
		}
		got.Header.Del("X-Forwarded-For")
		if got.Method != c.method || len(got.Header) != len(c.headers) {
			t.Errorf("%s: the server gets %s %v", c.method, got.Method, got.Header)
		}
	}
}
