package nginx

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"statustail/cmd/statustail/programtest/chromium"
)

// Plain HTTP serves nothing: it leads to the same address on HTTPS.
func TestPlainHTTPLeadsToTLS(t *testing.T) {
	p := startNginx(t, &site{upstream: upstream(t, "unix:/nonexistent/s.sock")})
	for _, path := range []string{"/demo?bt=s3cret", live, "/demo/state.json", "/widget.js"} {
		res, _ := get(t, "http://"+p.http+path)
		if want := "https://" + p.tls + path; res.StatusCode != http.StatusPermanentRedirect || res.Header.Get("Location") != want {
			t.Errorf("%s: %d %s, want 308 %s", path, res.StatusCode, res.Header.Get("Location"), want)
		}
		if hsts := res.Header.Get("Strict-Transport-Security"); hsts != "" {
			t.Errorf("%s: over HTTP, %q", path, hsts)
		}
	}
}

// A site that names a stream by HTTP, of a page for any origin, has it by
// HTTPS.
func TestBrowserFollowsToTLS(t *testing.T) {
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket)})
	tab := browse(t)
	chromium.Eval[bool](tab, fmt.Sprintf(subscribe, 1, "http://"+p.http+live))
	tab.Within(20*time.Second, "seen.events[0] > 0")
}

// The server for streams serves them, on HTTP/1.1 also to those who would
// rather have HTTP/2, in small records, and serves nothing else.
func TestStreamsOnly(t *testing.T) {
	s := startServer(t)
	s.CLI("page", "put", "demo", "--name", strings.Repeat("A long name. ", 15))
	for i := range 10 {
		s.CLI("component", "put", "--page", "demo", "--name", fmt.Sprintf("Component %d with a long name", i))
	}
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket)})
	conn, err := tls.Dial("tcp", p.streams, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if protocol := conn.ConnectionState().NegotiatedProtocol; protocol != "http/1.1" {
		t.Errorf("protocol %q", protocol)
	}
	for path, want := range map[string]int{live: 200, "/demo": 404, "/widget.js": 404, "/demo/state.json": 404} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		res, err := client.Get("https://" + p.streams + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", live); err != nil {
		t.Fatal(err)
	}
	// One Read of crypto/tls gives no more than one record holds.
	largest, all := 0, ""
	for b := make([]byte, 32<<10); !strings.Contains(all, "event: init_event") || !strings.HasSuffix(all, "\n\n"); {
		n, err := conn.Read(b)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		largest, all = max(largest, n), all+string(b[:n])
	}
	if len(all) < 2<<10 || largest > 1<<10 {
		t.Errorf("%d bytes came in pieces of up to %d", len(all), largest)
	}
}
