package nginx

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"statustail/nginx/crowd"
	"statustail/stream/hund/hundtest"
)

const live = "/demo/live/v2/status_page"

// The factor by which times are shortened where time matters: pings of a
// second stand for pings of a minute.
const minute = 60

// An event goes through nginx when it comes, as it is.
func TestEventsPassAtOnce(t *testing.T) {
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket)})
	direct, proxied := hundtest.Open(t, s.URL+live), hundtest.Open(t, "http://"+p.addr+live)
	h := proxied.Header
	if h.Get("Content-Encoding") != "" || !strings.HasPrefix(h.Get("Content-Type"), "text/event-stream") {
		t.Errorf("headers: %v", h)
	}
	direct.Next("init_event")
	proxied.Next("init_event")
	var late []time.Duration
	for i := range 11 {
		s.CLI("publish", "--page", "demo", "--name", "tick", "--data", fmt.Sprint(i))
		d, q := direct.Next("tick"), proxied.Next("tick")
		if d.Data != q.Data || d.ID != q.ID {
			t.Fatalf("direct %+v, through nginx %+v", d, q)
		}
		late = append(late, q.At.Sub(d.At))
	}
	slices.Sort(late)
	t.Logf("later than without nginx: median %v, worst %v", late[5], late[10])
	if late[5] > 20*time.Millisecond {
		t.Errorf("through nginx, events come %v later", late[5])
	}
}

// A stream on which there is nothing but pings lives longer than any timeout,
// and would not if one were as short as the ping interval.
func TestIdleStreamsLive(t *testing.T) {
	const n = 50
	s := startServer(t, "--ping", "1s")
	shipped := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket), faster: minute})
	// What is to be shown to be wrong.
	wrong := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket), faster: minute,
		edits: []string{"proxy_read_timeout 320s;", "proxy_read_timeout 60s;"}})
	start := func(p *proxy) *crowd.Crowd {
		c, err := crowd.Start(crowd.Config{Addr: p.addr, Path: live, N: n})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	good, bad := start(shipped), start(wrong)
	// init_event and eight pings: past 320 s of the shipped times.
	if err := good.Wait(30*time.Second, func(r crowd.Report) bool { return r.Events >= n*9 }); err != nil {
		t.Fatal(err)
	}
	if r := good.Report(); r.Closed+r.Refused > 0 || r.Open != n {
		t.Errorf("with the shipped times: %+v", r)
	}
	if r := bad.Report(); r.Closed < n/2 {
		t.Errorf("with proxy_read_timeout at the ping interval, only %d streams were closed", r.Closed)
	}
}

// A reader that stalls is cut, and holds up nobody.
func TestStalledReaderIsCut(t *testing.T) {
	s := startServer(t, "--ping", "1s")
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket), faster: minute})
	deaf, err := crowd.Start(crowd.Config{Addr: p.addr, Path: live, N: 1, Deaf: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(deaf.Close)
	other := hundtest.Open(t, "http://"+p.addr+live)
	other.Next("init_event")
	data, _ := json.Marshal(strings.Repeat("x", 40<<10))
	// More than the buffers on the way hold: the client's, nginx's socket,
	// and statustail's.
	for range 12 {
		s.CLI("publish", "--page", "demo", "--name", "large", "--data", string(data))
		other.Next("large")
	}
	// By nginx: statustail itself would wait for 30 s.
	eventually(t, "the stalled reader was not cut", 20*time.Second, func() bool { return deaf.Report().Refused > 0 })
	other.Next("ping_event")
}

// 444: over a limit, a connection is closed without an answer.
func TestLimitsAnswerNothing(t *testing.T) {
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket),
		edits: []string{"limit_conn streams 5000;", "limit_conn streams 10;"}})
	c, err := crowd.Start(crowd.Config{Addr: p.addr, Path: live, N: 30, Sources: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Wait(20*time.Second, func(r crowd.Report) bool { return r.Open == 20 && r.Refused >= 10 }); err != nil {
		t.Fatal(err)
	}
	if r := c.Report(); len(r.Statuses) > 0 {
		t.Errorf("a browser was sent %v", r.Statuses)
	}
}

// Limits count an IPv6 network of the size that one household has, and each
// IPv4 address.
func TestLimitsCountNetworks(t *testing.T) {
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket), edits: []string{
		"limit_conn streams 5000;", "limit_conn streams 1;",
		"http {", "http {\n    set_real_ip_from 127.0.0.1;\n    real_ip_header X-Forwarded-For;"}})
	for _, from := range []struct {
		address string
		served  bool
	}{
		{"2001:db8:0:1::1", true},
		{"2001:db8:0:1:ffff::2", false},
		{"2001:db8:0:2::1", true},
		{"2001:db8:0:a0a:a0a:a0a:a0a:a0a", true}, // bytes that are line ends
		{"2001:db8:0:a0a::", false},
		{"192.0.2.1", true},
		{"192.0.2.1", false},
		{"192.0.2.2", true},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.addr+live, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", from.address)
		res, err := (&http.Transport{}).RoundTrip(req)
		if served := err == nil && res.StatusCode == http.StatusOK; served != from.served {
			t.Errorf("%s: served %v, want %v (%v)", from.address, served, from.served, err)
		}
	}
}

// While nobody is behind nginx, a stream gets no answer, and a page an error.
func TestUpstreamAway(t *testing.T) {
	p := startNginx(t, &site{upstream: upstream(t, "unix:/nonexistent/s.sock")})
	c, err := crowd.Start(crowd.Config{Addr: p.addr, Path: live, N: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Wait(20*time.Second, func(r crowd.Report) bool { return r.Refused >= 5 }); err != nil {
		t.Fatal(err)
	}
	if r := c.Report(); len(r.Statuses) > 0 {
		t.Errorf("a browser was sent %v", r.Statuses)
	}
	if res, _ := get(t, "http://"+p.addr+"/demo"); res.StatusCode != 502 {
		t.Errorf("a page: %d", res.StatusCode)
	}
}

// 404 passes: that browser is not to come back.
func TestUnknownPagePasses(t *testing.T) {
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket)})
	if res, body := get(t, "http://"+p.addr+"/nobody/live/v2/status_page"); res.StatusCode != 404 || !json.Valid([]byte(body)) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// What a request says of its sender counts for nothing, and tokens are not
// written down.
func TestTokensAreNotLogged(t *testing.T) {
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket), edits: []string{" buffer=64k flush=5s;", ";"}})
	get(t, "http://"+p.addr+"/demo/state.json?bt=s3cret", "Referer", "http://site.example/?token=s3cret")
	get(t, "http://"+p.addr+"/nobody/live/v2/status_page?bt=s3cret")
	// Something goes wrong, too.
	away := startNginx(t, &site{upstream: upstream(t, "unix:/nonexistent/s.sock"), edits: []string{" buffer=64k flush=5s;", ";"}})
	get(t, "http://"+away.addr+"/demo?bt=s3cret")
	for _, p := range []*proxy{p, away} {
		var text string
		eventually(t, "nothing is logged", 10*time.Second, func() bool {
			b, err := os.ReadFile(filepath.Join(p.dir, "access.log"))
			text = string(b)
			return err == nil && strings.Count(text, "\n") > 0
		})
		text += read(t, filepath.Join(p.dir, "error.log")) + p.log.String()
		if strings.Contains(text, "s3cret") {
			t.Errorf("a token is in the log:\n%s", text)
		}
	}
}

// Compressed or not, in one place or the other, the widget is there while
// statustail is not; and a page's state is not there when it would be old.
func TestCacheOutlivesTheServer(t *testing.T) {
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket)})
	base := "http://" + p.addr
	encodings := []string{"", "gzip"}
	before := map[string]string{}
	for _, encoding := range encodings {
		res, body := get(t, base+"/widget.js", "Accept-Encoding", encoding)
		if res.StatusCode != 200 || body == "" {
			t.Fatalf("%d %q", res.StatusCode, body)
		}
		before[encoding] = body
	}
	if res, body := get(t, base+"/demo/state.json", "Accept-Encoding", "gzip"); res.StatusCode != 200 || body == "" {
		t.Errorf("state: %d", res.StatusCode)
	}
	s.Kill()
	for _, encoding := range encodings {
		if res, body := get(t, base+"/widget.js", "Accept-Encoding", encoding); res.StatusCode != 200 || body != before[encoding] {
			t.Errorf("while the server is down, with encoding %q: %d", encoding, res.StatusCode)
		}
	}
}

// get asks for something that is not a stream.
func get(t testing.TB, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}
