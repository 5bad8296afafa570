package nginx

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// backend stands where statustail is: a handler on a Unix socket, whose
// upstream it gives.
func backend(t testing.TB, handler http.HandlerFunc) (upstreamConf string) {
	t.Helper()
	socket := filepath.Join(folder(t), "b.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(handler)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	// nginx's workers may run as another user.
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	return upstream(t, "unix:"+socket)
}
