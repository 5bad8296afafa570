package api

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// KnownHosts passes on requests whose Host is an address, a name of the local
// network, or one of names. A page anywhere can have its visitor's browser ask
// a name of its own that points to an operators' listener (DNS rebinding), and
// would read the answer: but that name is none of these.
func KnownHosts(names []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := host(r); !isLocal(name) && !slices.Contains(names, name) {
			http.Error(w, "operators' listeners are asked by their address, or by a name that --ops-host allows", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLocal reports whether a host is an address, or a name that no stranger can
// own: without a dot, or under a domain that is for local use (RFC 6761, RFC
// 6762, and that of Kubernetes' services).
func isLocal(host string) bool {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || !strings.Contains(host, ".") {
		return true
	}
	for _, domain := range []string{".localhost", ".local", ".internal", ".svc"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}
