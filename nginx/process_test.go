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

// A proxy is a running nginx, with the addresses of its servers.
type proxy struct {
	dir     string
	addr    string // plain, as behind something that ends TLS
	tls     string // with TLS and HTTP/2, as shipped
	http    string // leads to tls
	streams string // streams only, with TLS
	cmd     *exec.Cmd
	log     *output
}

// startNginx runs the site on free ports, with every server that is shipped.
func startNginx(t testing.TB, s *site) *proxy {
	t.Helper()
	path := nginxPath(t)
	if s.dir == "" {
		s.dir = folder(t)
	}
	certificate(t, s.dir)
	// Between choosing a port and using it another program may take it.
	for range 5 {
		p := newProxy(t, s)
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

// newProxy gives the site's servers free ports.
func newProxy(t testing.TB, s *site) *proxy {
	t.Helper()
	address := func() string { return "127.0.0.1:" + freePort(t) }
	p := &proxy{dir: s.dir, addr: address(), tls: address(), http: address(), streams: address(), log: &output{}}
	s.listen = "listen " + p.addr + " reuseport backlog=4096 sndbuf=64k;\n" +
		moved(t, "statustail/listen.conf", "443", p.tls, "/etc/nginx/tls/", s.dir+"/")
	s.servers = map[string]string{
		"redirect.conf":     moved(t, "statustail/servers/redirect.conf", "80", p.http, "https://$host$", "https://"+p.tls+"$"),
		"streams-only.conf": moved(t, "statustail/streams-only.conf", "8443", p.streams, "/etc/nginx/tls/", s.dir+"/"),
	}
	return p
}

// moved is a shipped file that listens on one address in place of a port, and
// has an old text replaced.
func moved(t testing.TB, name, port, addr, old, replacement string) string {
	t.Helper()
	text := read(t, name)
	for _, r := range [][2]string{
		{"listen " + port + " ", "listen " + addr + " "},
		{"listen [::]:" + port + " ", "# listen [::]:" + port + " "},
		{old, replacement},
	} {
		if !strings.Contains(text, r[0]) {
			t.Fatalf("%s does not hold %q", name, r[0])
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
