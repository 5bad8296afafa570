package programtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Program is a running server.
type Program struct {
	URL      string // of the public listener
	OpsURL   string
	PprofURL string // empty without --pprof-listen
	MongoURI string // of the embedded database; empty without one

	t      testing.TB
	args   []string
	cmd    *exec.Cmd
	ended  chan struct{}
	err    error
	stderr *lines
}

func serveArgs(t testing.TB, more []string) []string {
	return append([]string{
		"serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0",
		"--embedded-listen", "127.0.0.1:0", "--data", t.TempDir(), "--drain", "100ms",
	}, more...)
}

// Start runs `statustail serve` with an embedded database in a folder of its
// own and free ports, and waits until it listens. Further arguments may
// override that. When the test ends it is asked to end too, which must take
// no longer than it was told to; what it logged is shown when the test failed.
func Start(t testing.TB, args ...string) *Program {
	t.Helper()
	p := &Program{t: t, args: serveArgs(t, args)}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Signal(syscall.SIGTERM)
		p.Wait()
		Raced(t, p.Log())
		if t.Failed() {
			t.Logf("the server logged:\n%s", p.Log())
		}
	})
	return p
}

// lines collects output.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.buf.Write(b) }
func (l *lines) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.buf.String() }

var announced = regexp.MustCompile(`^(listening|operators|profiles|database) .*?((?:http|mongodb)://[^ ]+)`)

func (p *Program) start() error {
	p.t.Helper()
	if p.stderr == nil {
		p.stderr = &lines{}
	}
	p.cmd = Command(context.Background(), p.t, p.args...)
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	p.ended = ended
	// What stands in its first lines, up to the first that is none of ours.
	found := make(chan error, 1)
	go func() {
		r := bufio.NewScanner(stdout)
		for r.Scan() {
			m := announced.FindStringSubmatch(r.Text())
			switch {
			case m == nil:
			case m[1] == "listening":
				p.URL = strings.TrimSuffix(m[2], "/")
			case m[1] == "operators":
				p.OpsURL = strings.TrimSuffix(m[2], "/")
			case m[1] == "profiles":
				p.PprofURL = strings.TrimSuffix(m[2], "/")
			case m[1] == "database":
				p.MongoURI = m[2]
			}
			if strings.HasPrefix(r.Text(), "database") {
				found <- nil
				break
			}
		}
		io.Copy(io.Discard, stdout)
		err := p.cmd.Wait()
		p.err = err
		close(ended)
		select {
		case found <- fmt.Errorf("the server ended: %v", err):
		default:
		}
	}()
	select {
	case err := <-found:
		if err != nil {
			return fmt.Errorf("%w\n%s", err, p.stderr)
		}
	case <-time.After(time.Minute):
		return fmt.Errorf("the server did not say where it listens\n%s", p.stderr)
	}
	return nil
}

// Kill ends the server as a power cut would.
func (p *Program) Kill() {
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
}

// Restart runs the server again, at the addresses it had.
func (p *Program) Restart() {
	p.t.Helper()
	host := func(url string) string { return strings.Trim(url[strings.Index(url, "://")+3:], "/") }
	address := func(url string) string { return strings.Replace(host(url), "localhost", "127.0.0.1", 1) }
	args := p.args
	p.args = append(args[:len(args):len(args)], "--listen", address(p.URL))
	if p.MongoURI != "" {
		p.args = append(p.args, "--embedded-listen", address(p.MongoURI))
	}
	// The first --listen, on a free port, stays; the one asked for counts,
	// as the last that is announced.
	defer func() { p.args = args }()
	for attempt := 0; ; attempt++ {
		said := len(p.Log())
		err := p.start()
		if err == nil {
			return
		}
		// Somebody's outgoing connection may have the port for a moment.
		if attempt == 50 || !strings.Contains(p.Log()[said:], "is in use") {
			p.t.Fatal(err)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// Signal sends a signal; Wait gives the exit status.
func (p *Program) Signal(s os.Signal) { p.cmd.Process.Signal(s) }

// Wait waits until the server has ended by itself and gives its exit status,
// -1 for a signal.
func (p *Program) Wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.Kill()
		p.t.Errorf("the server does not end\n%s", p.Log())
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// PID is the server's process.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Log is what the server has logged so far.
func (p *Program) Log() string { return p.stderr.String() }
