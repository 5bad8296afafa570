package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"statustail/stream/change"
	"statustail/stream/fanout"
	"statustail/stream/hund"
	"statustail/stream/live"
	"statustail/stream/markdown"
	"statustail/stream/status"
)

// database answers what it is told to.
type database struct {
	mu     sync.Mutex
	pages  map[string]status.Page
	hosts  map[string]string
	old    map[live.IssueRef]status.Issue
	loads  int
	issues int // queries
	down   bool
}

func (d *database) Load(ctx context.Context, slugs []string, after change.Position) (map[string]live.Reading, change.Position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loads++
	if d.down {
		return nil, 0, errors.New("connection refused")
	}
	found := map[string]live.Reading{}
	for _, s := range slugs {
		if p, ok := d.pages[s]; ok {
			found[s] = live.Reading{Decode: func() (status.Page, error) { return p, nil }}
		}
	}
	return found, after, nil
}

func (d *database) PastIncidents(context.Context, map[string][]string, change.Position) (map[string]map[string]time.Time, error) {
	return nil, nil
}

func (d *database) Hosts(ctx context.Context, hosts []string, after change.Position) (map[string]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hosts, nil
}

func (d *database) Issues(ctx context.Context, refs []live.IssueRef, after change.Position) (map[live.IssueRef]status.Issue, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.issues++
	return d.old, nil
}

type server struct {
	*httptest.Server
	db    *database
	pages *live.Pages
	hub   *fanout.Hub
	log   *OpsLog
}

func start(t *testing.T) *server {
	t.Helper()
	html, plain := markdown.Render("safe")
	d := &database{
		pages: map[string]status.Page{
			"acme": {
				ID: "acme", Name: "Acme <b>", Origins: []string{"https://shop.example"}, CreatedAt: time.Unix(1_700_000_000, 0),
				Components: []status.Component{{ID: "a/b c", Name: "API", State: status.Operational}},
				Issues: []status.Issue{{
					ID: "i1", Title: "Heavy <script>alert(1)</script>", Kind: status.Incident, State: status.Degraded,
					Components: []string{"a/b c"}, CreatedAt: time.Unix(1_700_000_100, 0), Body: status.Text{HTML: html, Plain: plain},
					Progress: new(40),
				}},
			},
			"open":   {ID: "open", Name: "Open", Origins: []string{"*"}},
			"secret": {ID: "secret", Name: "Secret", Private: true, Origins: []string{"*"}},
			"live":   {ID: "live", Name: "A page called live"},
		},
		hosts: map[string]string{"status.acme.example": "acme"},
		old:   map[live.IssueRef]status.Issue{{Page: "acme", ID: "ancient"}: {ID: "ancient", Title: "Long ago", Kind: status.Incident, ResolvedAt: time.Unix(1, 0)}},
	}
	ctx, cancel := context.WithCancel(context.Background())
	hub := fanout.New(fanout.Config{ParkMin: time.Hour, ParkMax: time.Hour})
	log := NewOpsLog()
	pages := live.New(ctx, live.Config{
		Loader: d, Encoder: hund.Encoder{}, Observe: log.Observe,
		Open:     func(page string, src change.Source, messages bool) live.Channel { return hub.Open(page, src, messages) },
		Messages: hub,
	})
	pages.Opened(100, 100)
	pages.Reached(100)
	s := httptest.NewServer(New(Config{
		Pages: pages, Hub: hub, Observe: log.Observe,
		Widget:       http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "widget ", r.URL.Path) }),
		WidgetRoutes: []string{"/widget.js", "/-/demo/:name"},
		Tag: func(host, page string) string {
			return fmt.Sprintf(`<script async src="%s/widget.js" data-page="%s"></script>`, host, page)
		},
	}))
	t.Cleanup(func() {
		expired, stop := context.WithCancel(context.Background())
		stop()
		hub.Drain(expired, 0)
		log.Close()
		cancel()
		s.Close()
	})
	return &server{s, d, pages, hub, log}
}

// get asks, with headers given as pairs.
func (s *server) get(t *testing.T, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	return s.ask(t, http.MethodGet, path, headers...)
}

func (s *server) ask(t *testing.T, method, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return res, firstEvent(t, res.Body)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// firstEvent reads up to the end of the first event that has a name.
func firstEvent(t *testing.T, r io.Reader) string {
	t.Helper()
	var text strings.Builder
	named := false
	for lines := bufio.NewScanner(r); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		named = named || strings.HasPrefix(lines.Text(), "event: ")
		if named && lines.Text() == "" {
			return text.String()
		}
	}
	t.Fatalf("the stream ended early: %q", text.String())
	return ""
}

func TestStatusCodes(t *testing.T) {
	s := start(t)
	for _, test := range []struct {
		path string
		code int
		host string
	}{
		{"/acme/live/v2/status_page", 200, ""},
		{"/acme/live/v2/component/a%2Fb%20c", 200, ""},
		{"/live/live/v2/status_page", 200, ""},
		{"/live", 200, ""},
		{"/live/v2/status_page", 200, "status.acme.example:8080"},
		{"/live/v2/component/a%2Fb%20c", 200, "STATUS.acme.example"},
		{"/", 200, "status.acme.example"},
		{"/state.json", 200, "status.acme.example"},
		{"/issues/i1", 200, "status.acme.example"},
		{"/acme/issues/i1", 200, ""},
		{"/acme/issues/ancient", 200, ""},
		{"/acme/state.json", 200, ""},
		{"/acme", 200, ""},
		{"/widget.js", 200, ""},
		{"/-/demo/corner", 200, ""},
		{stylePath, 200, ""},

		{"/nobody/live/v2/status_page", 404, ""},
		{"/acme/live/v2/component/nothing", 404, ""},
		{"/acme/issues/nothing", 404, ""},
		{"/nobody", 404, ""},
		{"/nobody/state.json", 404, ""},
		{"/UPPER/state.json", 404, ""},
		{"/-/nothing", 404, ""},
		{"/live/v2/status_page", 404, "unknown.example"},
		{"/", 404, "unknown.example"},
		{"/acme/live/v3/status_page", 404, ""},

		{"/secret/live/v2/status_page", 401, ""},
		{"/secret/live/v2/component/x", 401, ""},
		{"/secret/state.json", 401, ""},
		{"/secret", 401, ""},
		{"/secret/issues/i1", 401, ""},
	} {
		var headers []string
		if test.host != "" {
			headers = []string{"Host", test.host}
		}
		res, body := s.get(t, test.path, headers...)
		if res.StatusCode != test.code {
			t.Errorf("GET %s on %q: %d, want %d", test.path, test.host, res.StatusCode, test.code)
		}
		if res.StatusCode >= 400 {
			var e struct{ Error string }
			if json.Unmarshal([]byte(body), &e) != nil || e.Error == "" {
				t.Errorf("GET %s: %q is not a JSON error", test.path, body)
			}
			if res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("GET %s: an error may be cached", test.path)
			}
		}
	}
	if res, _ := s.ask(t, http.MethodPost, "/acme/state.json"); res.StatusCode != 405 {
		t.Errorf("POST: %d", res.StatusCode)
	}
}

func TestStreamHeaders(t *testing.T) {
	s := start(t)
	res, first := s.get(t, "/acme/live/v2/status_page", "Origin", "https://shop.example")
	for header, want := range map[string]string{
		"Content-Type": "text/event-stream", "X-Accel-Buffering": "no",
		"Access-Control-Allow-Origin": "https://shop.example", "Vary": "Origin",
	} {
		if got := res.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if !strings.HasPrefix(first, "retry: ") || !strings.Contains(first, "event: init_event\n") || !strings.Contains(first, "id: 0000000000000064\n") {
		t.Errorf("the stream begins with %q", first)
	}
	if strings.Contains(first, "recovered") {
		t.Error("a fresh connection was told of a recovery")
	}
	for query, recovered := range map[string]string{"?last_event_id=0000000000000064": "true", "?last_event_id=rubbish": "false"} {
		if _, first := s.get(t, "/acme/live/v2/status_page"+query); !strings.Contains(first, `"recovered":`+recovered) {
			t.Errorf("%s: %q", query, first)
		}
	}
}

func TestCORS(t *testing.T) {
	s := start(t)
	for _, test := range []struct{ path, origin, want string }{
		{"/acme/state.json", "https://shop.example", "https://shop.example"},
		{"/acme/state.json", "https://evil.example", ""},
		{"/acme/state.json", "", ""},
		{"/open/state.json", "https://evil.example", "*"},
		{"/open/state.json", "", "*"},
	} {
		res, _ := s.get(t, test.path, "Origin", test.origin)
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != test.want {
			t.Errorf("%s from %q: %q, want %q", test.path, test.origin, got, test.want)
		}
		if res.Header.Get("Vary") != "Origin" {
			t.Errorf("%s: Vary: %q", test.path, res.Header.Get("Vary"))
		}
	}
	for _, path := range []string{"/state.json", "/live/v2/status_page", "/live/v2/component/api"} {
		res, _ := s.ask(t, http.MethodOptions, "/open"+path, "Origin", "https://any.example", "Access-Control-Request-Headers", "last-event-id")
		for _, header := range []string{"If-None-Match", "Last-Event-ID", "Authorization", "Cache-Control"} {
			if res.StatusCode != 204 || !strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), header) {
				t.Errorf("preflight of %s: %d %v", path, res.StatusCode, res.Header)
			}
		}
	}
	// Credentials are for origins that are named.
	res, _ := s.get(t, "/acme/state.json", "Origin", "https://shop.example")
	if res.Header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("with credentials: %v", res.Header)
	}
	res, _ = s.get(t, "/open/state.json", "Origin", "https://any.example")
	if res.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("with credentials from anywhere: %v", res.Header)
	}
}

// A cache that asks with the tag of an answer to one origin is not told that
// an answer with other permissions is the same.
func TestStateETagKnowsPermissions(t *testing.T) {
	s := start(t)
	allowed, _ := s.get(t, "/acme/state.json", "Origin", "https://shop.example")
	res, _ := s.get(t, "/acme/state.json", "Origin", "https://evil.example", "If-None-Match", allowed.Header.Get("ETag"))
	if res.StatusCode != http.StatusOK || res.Header.Get("ETag") == allowed.Header.Get("ETag") {
		t.Errorf("got %d with %v", res.StatusCode, res.Header)
	}
}

func TestStateETag(t *testing.T) {
	s := start(t)
	res, body := s.get(t, "/acme/state.json")
	if !json.Valid([]byte(body)) || res.Header.Get("ETag") == "" {
		t.Fatalf("%s %v", body, res.Header)
	}
	res, body = s.get(t, "/acme/state.json", "If-None-Match", `"other", `+res.Header.Get("ETag"))
	if res.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("unchanged: %d %q", res.StatusCode, body)
	}
	res, _ = s.ask(t, http.MethodHead, "/acme/state.json")
	if res.StatusCode != 200 {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
}

func TestHTMLIsSafe(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/acme", "/acme/issues/i1"} {
		res, body := s.get(t, path)
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "Acme <b>") {
			t.Errorf("%s: markup from the database in the page", path)
		}
		if !strings.Contains(body, "<p>safe</p>") || !strings.Contains(body, "Heavy &lt;script&gt;") {
			t.Errorf("%s: the issue is missing:\n%s", path, body)
		}
		if !strings.Contains(body, `max="100" value="40"`) || !strings.Contains(body, "40 %") {
			t.Errorf("%s: its progress is missing:\n%s", path, body)
		}
		if !strings.Contains(body, `data-page="acme"`) {
			t.Errorf("%s: no widget", path)
		}
		if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: policy %q", path, csp)
		}
	}
}

// A client that asks for an issue which is too old to be in memory, leaves, and
// asks again costs the database no more than one that waits.
func TestOldIssuesCoalesce(t *testing.T) {
	s := start(t)
	s.get(t, "/acme/state.json")
	var wg sync.WaitGroup
	for i := range 90 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			if i%2 == 0 {
				cancel()
			}
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/acme/issues/none%d", s.URL, i%3), nil)
			if res, err := http.DefaultClient.Do(req); err == nil {
				res.Body.Close()
				if res.StatusCode != http.StatusNotFound {
					t.Errorf("status %d", res.StatusCode)
				}
			}
		})
	}
	wg.Wait()
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	if s.db.issues > 3 {
		t.Errorf("%d queries for three issues", s.db.issues)
	}
}

func TestBrowsersAreToldInHTML(t *testing.T) {
	s := start(t)
	for path, code := range map[string]int{"/nobody": 404, "/": 404, "/secret": 401, "/acme/issues/nothing": 404} {
		res, body := s.get(t, path, "Accept", "text/html,*/*")
		if res.StatusCode != code || !strings.HasPrefix(body, "<!doctype html>") || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %.60q", path, res.StatusCode, body)
		}
	}
}

func TestUnknownSlugsCostOneLoad(t *testing.T) {
	s := start(t)
	for range 50 {
		for _, path := range []string{"/nobody/live/v2/status_page", "/nobody/state.json", "/nobody"} {
			s.get(t, path)
		}
	}
	s.get(t, "/Not-A-Slug/state.json")
	if s.db.loads != 1 {
		t.Errorf("%d loads", s.db.loads)
	}
}

func TestDatabaseAway(t *testing.T) {
	s := start(t)
	s.get(t, "/open/state.json")
	s.db.mu.Lock()
	s.db.down = true
	s.db.mu.Unlock()
	if res, _ := s.get(t, "/open/state.json"); res.StatusCode != 200 {
		t.Errorf("a page in memory: %d", res.StatusCode)
	}
	res, _ := s.get(t, "/acme/state.json")
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("a page not in memory: %d", res.StatusCode)
	}
	// A stream is parked: 200, so that the browser comes back.
	parked, err := http.Get(s.URL + "/acme/live/v2/status_page")
	if err != nil {
		t.Fatal(err)
	}
	defer parked.Body.Close()
	line, err := bufio.NewReader(parked.Body).ReadString('\n')
	if parked.StatusCode != 200 || err != nil || !strings.HasPrefix(line, "retry: ") {
		t.Errorf("stream: %d %q %v", parked.StatusCode, line, err)
	}
}

func TestClientAddr(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, test := range []struct{ remote, forwarded, want string }{
		{"203.0.113.9:1234", "", "203.0.113.9"},
		{"203.0.113.9:1234", "198.51.100.1", "203.0.113.9"}, // a stranger is not believed
		{"127.0.0.1:1234", "198.51.100.1", "198.51.100.1"},
		{"@", "198.51.100.1", "198.51.100.1"}, // a Unix socket
		{"@", "", ""},
		{"10.1.1.1:80", "6.6.6.6, 198.51.100.1, 10.2.2.2", "198.51.100.1"},
		{"10.1.1.1:80", "6.6.6.6, rubbish, 10.2.2.2", "10.2.2.2"},
		{"10.1.1.1:80", "10.3.3.3, 10.2.2.2", "10.3.3.3"},
		{"127.0.0.1:80", "[2001:db8:1:2:3::4]:99", "2001:db8:1:2::/64"},
		{"[2001:db8:1:2:ffff::1]:80", "", "2001:db8:1:2::/64"},
		{"[::ffff:203.0.113.9]:80", "", "203.0.113.9"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = test.remote
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := clientKey(clientAddr(r, trusted)); got != test.want {
			t.Errorf("%s for %q: %q, want %q", test.remote, test.forwarded, got, test.want)
		}
	}
}

func FuzzClientAddr(f *testing.F) {
	f.Add("10.0.0.1, ::1")
	f.Add("[fe80::1%eth0]:80,,")
	f.Fuzz(func(t *testing.T, forwarded string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header["X-Forwarded-For"] = []string{forwarded}
		if key := clientKey(clientAddr(r, nil)); len(key) > len("ffff:ffff:ffff:ffff::/64") {
			t.Errorf("%q gives the key %q", forwarded, key)
		}
	})
}

// A page's own host shows no other page.
func TestHostsShowTheirPageOnly(t *testing.T) {
	s := start(t)
	for _, test := range []struct {
		host, path string
		want       int
	}{
		{"status.acme.example", "/state.json", 200},
		{"status.acme.example", "/acme/state.json", 200},
		{"status.acme.example", "/open/state.json", 404},
		{"status.acme.example", "/open", 404},
		{"other.example", "/open/state.json", 200},
		{"other.example", "/state.json", 404},
	} {
		req, err := http.NewRequest(http.MethodGet, s.URL+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = test.host
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != test.want {
			t.Errorf("%s%s: %d, want %d", test.host, test.path, res.StatusCode, test.want)
		}
	}
}

func TestRequestsAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := New(Config{Registerer: reg})
	for range 3 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, stylePath, nil))
	}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/no/such/path/at/all", nil))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, stylePath, nil))
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`statustail_http_requests_total{code="404",route="none"} 1`,
		`statustail_http_requests_total{code="405",route="none"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
	if !strings.Contains(w.Body.String(), stylePath) {
		t.Errorf("no route of the style in\n%s", w.Body)
	}
}
