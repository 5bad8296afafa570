package nginx

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"statustail/cmd/statustail/programtest"
	"statustail/cmd/statustail/programtest/chromium"
)

func TestMain(m *testing.M) {
	// This process shares two processors with nginx, browsers and a database,
	// and measures how evenly they come back: it does without the race
	// detector. The servers have it, unless figures are wanted.
	programtest.Race = os.Getenv("STATUSTAIL_FIGURES") == ""
	// The tests that are parallel wait most of the time, for a browser.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	programtest.Main(m, chromium.Close)
}

// A server is a statustail that listens on a Unix socket as well.
type server struct {
	*programtest.Program
	dir, socket string // the path of the socket, in its folder
}

// startServer runs statustail in a folder of its own, with an embedded
// database unless args name another.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	return startServerIn(t, folder(t), args...)
}

// startServerIn runs statustail with its socket in a folder. Browsers come
// back sooner than they would by default, unless args say when.
func startServerIn(t testing.TB, dir string, args ...string) *server {
	t.Helper()
	socket := filepath.Join(dir, "s.sock")
	args = append([]string{"--listen", "unix:" + socket, "--drain", "1s", "--retry-min", "200ms", "--retry-max", "2s"}, args...)
	return &server{programtest.Start(t, args...), dir, socket}
}

// eventually waits for something outside this process.
func eventually(t testing.TB, what string, within time.Duration, done func() bool) {
	t.Helper()
	limit := time.Now().Add(within)
	for !done() {
		if time.Now().After(limit) {
			t.Fatalf("%s within %v", what, within)
		}
		time.Sleep(20 * time.Millisecond) // nothing tells: it is another process
	}
}

// upstream is the shipped upstream.conf with another socket, or
// upstream-many.conf with two others.
func upstream(t testing.TB, servers ...string) string {
	t.Helper()
	name, shipped := "statustail/upstream.conf", []string{"unix:/run/statustail/statustail.sock"}
	if len(servers) == 2 {
		name, shipped = "statustail/upstream-many.conf", []string{"10.0.0.11:8080", "10.0.0.12:8080"}
	}
	text := read(t, name)
	for i, old := range shipped {
		if strings.Count(text, "server "+old) != 2 {
			t.Fatalf("%s does not hold %q twice", name, old)
		}
		text = strings.ReplaceAll(text, "server "+old, "server "+servers[i])
	}
	return text
}
