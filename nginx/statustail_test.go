package nginx

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"statustail/cmd/statustail/programtest"
)

// program is where statustail is, built once for all tests.
var program = programtest.Path

func TestMain(m *testing.M) {
	// This process shares two processors with nginx, browsers and a database,
	// and measures how evenly they come back: it does without the race
	// detector. The servers have it, unless figures are wanted.
	programtest.Race = os.Getenv("STATUSTAIL_FIGURES") == ""
	programtest.Main(m)
}

// A server is a running statustail.
type server struct {
	socket string // the path of its Unix socket
	addr   string // of its TCP listener
	ops    string // of its operators' listener
	uri    string // of the database, for the other commands
	dir    string
	cmd    *exec.Cmd
	ended  chan struct{}
	log    *output
}

// startServer runs statustail in a folder of its own, with an embedded
// database unless args name another.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	return startServerIn(t, folder(t), args...)
}

var (
	listening = regexp.MustCompile(`(?m)^listening +http://localhost:(\d+)$`)
	operators = regexp.MustCompile(`(?m)^operators +http://localhost:(\d+)`)
	database  = regexp.MustCompile(`(?m)^database +embedded, .* at (\S+)$`)
	foreign   = regexp.MustCompile(`(?m)^database +\S+ at --mongodb-uri$`)
)

func startServerIn(t testing.TB, dir string, args ...string) *server {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{socket: filepath.Join(dir, "s.sock"), dir: dir, log: &output{}, ended: make(chan struct{})}
	args = append([]string{"--data", filepath.Join(dir, "data"), "--embedded-listen", "127.0.0.1:0",
		"--listen", "unix:" + s.socket, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--drain", "1s"}, args...)
	s.cmd = exec.Command(path, args...)
	s.cmd.Stderr = s.log
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		defer close(s.ended)
		var text strings.Builder
		for sc := bufio.NewScanner(stdout); sc.Scan(); {
			text.WriteString(sc.Text() + "\n")
			if strings.HasPrefix(sc.Text(), "database") {
				said <- text.String()
			}
		}
		_ = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		s.wait(t)
		if t.Failed() {
			t.Logf("statustail said:\n%s", s.log)
		}
	})
	select {
	case text := <-said:
		s.addr = "127.0.0.1:" + group(t, listening, text)
		s.ops = "127.0.0.1:" + group(t, operators, text)
		if !foreign.MatchString(text) {
			s.uri = group(t, database, text)
		}
	case <-s.ended:
		t.Fatalf("statustail ended: %s", s.log)
	case <-time.After(time.Minute):
		t.Fatalf("statustail does not start: %s", s.log)
	}
	s.ready(t)
	return s
}

func group(t testing.TB, re *regexp.Regexp, text string) string {
	t.Helper()
	m := re.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s does not match:\n%s", re, text)
	}
	return m[1]
}

// wait waits for the end of the program, and kills it when it takes too long.
func (s *server) wait(t testing.TB) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		t.Errorf("statustail does not end")
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// ready waits until /readyz says so.
func (s *server) ready(t testing.TB) {
	t.Helper()
	eventually(t, "statustail is not ready", 30*time.Second, func() bool {
		_, err := run("health", "--ops-listen", s.ops)
		return err == nil
	})
}

// run runs a command of the program's and returns what it printed.
func run(args ...string) (string, error) {
	path, err := program()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("statustail %.200q: %w\n%.2000s", args, err, stderr.String())
	}
	return string(out), nil
}

// change runs a command on the server's database.
func (s *server) change(t testing.TB, args ...string) {
	t.Helper()
	if _, err := run(append(args, "--mongodb-uri", s.uri)...); err != nil {
		t.Fatal(err)
	}
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
