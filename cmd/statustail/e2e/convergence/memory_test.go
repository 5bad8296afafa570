//go:build !race && linux

package convergence

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"statustail/cmd/statustail/programtest"
	"statustail/internal/mongotest"
)

// What an idle subscriber costs the program as it is shipped: built with
// noembed, following a replica set.
func TestMemory(t *testing.T) {
	if !*figures {
		t.Skip("a measurement: run it with -args -figures")
	}
	program := filepath.Join(t.TempDir(), "statustail")
	build := exec.Command("go", "build", "-tags", "noembed", "-o", program, "statustail/cmd/statustail")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("STATUSTAIL_PROGRAM", program)
	proxy := mongotest.Start(t)
	for _, command := range [][]string{{"page", "put", "p0", "--name", "P"}, {"component", "put", "--page", "p0", "--name", "C"}} {
		if _, err := programtest.Run(t, proxy.URI(), command...); err != nil {
			t.Fatal(err)
		}
	}
	server := programtest.Start(t, "--mongodb-uri", proxy.URI(), "--pprof-listen", "127.0.0.1:0")
	public := strings.Replace(strings.TrimPrefix(server.URL, "http://"), "localhost", "127.0.0.1", 1)

	resident := func() int {
		t.Helper()
		// Twice: what finalisers let go is collected by the next.
		for range 2 {
			res, err := http.Get(server.PprofURL + "/heap?gc=1")
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		<-time.After(10 * time.Second) // the runtime returns what is free in the background
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.PID()))
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
		kb, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		return kb
	}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	buffer := make([]byte, 4096)
	upTo := func(n int) {
		t.Helper()
		for len(open) < n {
			from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, 0, byte(1+len(open)%250))}}
			c, err := from.Dial("tcp", public)
			if err != nil {
				t.Fatalf("connection %d: %v", len(open), err)
			}
			open = append(open, c)
			fmt.Fprintf(c, "GET /p0/live/v2/status_page HTTP/1.1\r\nHost: localhost\r\n\r\n")
			var head bytes.Buffer
			for !bytes.Contains(head.Bytes(), []byte("init_event")) {
				n, err := c.Read(buffer)
				if err != nil {
					t.Fatalf("connection %d: %v", len(open), err)
				}
				head.Write(buffer[:n])
			}
		}
	}
	const few, many = 5000, 15000
	upTo(few)
	before := resident()
	upTo(many)
	after := resident()
	t.Logf("resident: %d KB with %d subscribers, %d KB with %d: %.2f KB for each", before, few, after, many, float64(after-before)/(many-few))
}
