package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestKnownHosts(t *testing.T) {
	h := KnownHosts([]string{"ops.example.com"}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for host, want := range map[string]int{
		"127.0.0.1:9090": 204, "localhost:9090": 204, "[::1]:9090": 204, "10.1.2.3": 204, "statustail:9090": 204, "": 204,
		"statustail.monitoring.svc.cluster.local:9090": 204, "statustail.monitoring.svc": 204, "OPS.example.com:9090": 204,
		"evil.example.com:9090": 421, "127.0.0.1.evil.example:9090": 421, "localhost.evil.example": 421, "svc.example": 421,
	} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
	}
}
