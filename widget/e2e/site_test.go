package e2e

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// newServer serves a customer's site, and returns its address.
func newServer(t *testing.T, site http.Handler) string {
	s := httptest.NewServer(site)
	t.Cleanup(s.Close)
	return s.URL
}
