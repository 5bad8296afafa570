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

	"statustail/stream/mongotest"
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
	proxy := mongotest.Start(t)
	cli := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(program, append(args, "--mongodb-uri", proxy.URI())...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	cli("page", "put", "p0", "--name", "P")
	cli("component", "put", "--page", "p0", "--name", "C")

	server := exec.Command(program, "serve", "--mongodb-uri", proxy.URI(), "--listen", "127.0.0.1:0",
		"--ops-listen", "127.0.0.1:0", "--pprof-listen", "127.0.0.1:0", "--drain", "0s")
	var said bytes.Buffer
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer server.Process.Kill()
	buffer := make([]byte, 4096)
	for !strings.Contains(said.String(), "database ") {
		n, err := stdout.Read(buffer)
		if err != nil {
			t.Fatalf("%v\n%s", err, &said)
		}
		said.Write(buffer[:n])
	}
	address := func(what string) string {
		m := regexp.MustCompile(what + ` +http://localhost:(\d+)`).FindStringSubmatch(said.String())
		if m == nil {
			t.Fatalf("no %s in\n%s", what, &said)
		}
		return "127.0.0.1:" + m[1]
	}
	public, profiles := address("listening"), address("profiles")

	resident := func() int {
		t.Helper()
		// Twice: what finalisers let go is collected by the next.
		for range 2 {
			res, err := http.Get("http://" + profiles + "/debug/pprof/heap?gc=1")
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		<-time.After(10 * time.Second) // the runtime returns what is free in the background
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.Process.Pid))
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
