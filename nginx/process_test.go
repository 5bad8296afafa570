package nginx

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// nginxPath finds nginx, or skips the test and says what to install.
func nginxPath(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("nginx is not installed: sudo apt-get install nginx-light")
	return ""
}

// folder is a temporary folder that nginx's workers can reach, whoever they
// run as; t.TempDir's is for its owner only. Its name is short, because the
// path of a Unix socket is at most 107 bytes.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stnginx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// freePort is a loopback port that nobody listened on a moment ago.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// A proxy is a running nginx.
type proxy struct {
	dir  string
	addr string // of its plain listener
	tls  string // of its TLS listener; empty without one
	cmd  *exec.Cmd
	log  *output
}

// startNginx runs the site on free ports: plain on one, with TLS and HTTP/2
// on the other. Its listen file must be empty: it is written here, from the
// shipped one's directives.
func startNginx(t testing.TB, s *site) *proxy {
	t.Helper()
	path := nginxPath(t)
	if s.dir == "" {
		s.dir = folder(t)
	}
	certificate(t, s.dir)
	// Between choosing a port and using it somebody else may take it.
	for range 5 {
		p := &proxy{dir: s.dir, addr: "127.0.0.1:" + freePort(t), tls: "127.0.0.1:" + freePort(t), log: &output{}}
		s.listen = shippedListen(t, p.addr, p.tls, s.dir)
		p.cmd = exec.Command(path, "-p", s.dir, "-c", s.write(t), "-e", filepath.Join(s.dir, "start.log"))
		p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- p.cmd.Wait() }()
		t.Cleanup(func() {
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				_ = p.cmd.Process.Kill()
			}
		})
		err := reachable(p.addr, ended)
		if err == nil {
			return p
		}
		if !strings.Contains(p.log.String(), "Address already in use") {
			t.Fatalf("nginx did not start: %v\n%s", err, p.log)
		}
		ended <- nil
	}
	t.Fatal("no free port for nginx")
	return nil
}

// reachable waits until something listens.
func reachable(addr string, ended <-chan error) error {
	limit := time.After(10 * time.Second)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return nil
		}
		select {
		case <-ended:
			return errors.New("it has ended")
		case <-limit:
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// shippedListen is statustail/listen.conf on other addresses, and with the
// test's certificate.
func shippedListen(t testing.TB, plain, tls, dir string) string {
	t.Helper()
	text := read(t, "statustail/listen.conf")
	for _, r := range [][2]string{
		{"listen 80 ", "listen " + plain + " "},
		{"listen 443 ", "listen " + tls + " "},
		{"listen [::]:80 ", "# listen [::]:80 "},
		{"listen [::]:443 ", "# listen [::]:443 "},
		{"/etc/nginx/tls/", dir + "/"},
	} {
		if !strings.Contains(text, r[0]) {
			t.Fatalf("statustail/listen.conf does not hold %q", r[0])
		}
		text = strings.ReplaceAll(text, r[0], r[1])
	}
	return text
}

// output keeps what a program prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
