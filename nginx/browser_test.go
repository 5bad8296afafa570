package nginx

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"statustail/cmd/statustail/programtest/chromium"
	"statustail/stream/hund/hundtest"
)

// browse opens a tab that takes any certificate, on an empty page of loopback:
// others may not connect there without asking the user.
func browse(t *testing.T) *chromium.Tab {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(page.Close)
	tab := chromium.NewProfile(t)
	if _, err := chromedp.Call(tab.Ctx, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true}); err != nil {
		t.Fatal(err)
	}
	tab.Open(page.URL)
	return tab
}

// subscribe opens n native EventSources, which count their events and errors.
const subscribe = `(() => {
	window.seen = { errors: 0, closed: 0, events: [] };
	window.sources = [];
	for (let i = 0; i < %d; i++) {
		const source = new EventSource(%q);
		seen.events.push(0);
		source.addEventListener("init_event", () => seen.events[i]++);
		source.addEventListener("error", () => {
			seen.errors++;
			if (source.readyState === EventSource.CLOSED) seen.closed++;
		});
		sources.push(source);
	}
	return true;
})()`

// Nothing that nginx does on a live location stops a browser's EventSource
// for good: not a server that is down, nor a limit, on HTTP/1.1 or HTTP/2.
func TestBrowserComesBack(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		for _, cause := range []string{"server down", "over the limit"} {
			t.Run(protocol+"/"+cause, func(t *testing.T) {
				t.Parallel() // to its siblings only
				comesBack(t, protocol, cause)
			})
		}
	}
}

func comesBack(t *testing.T, protocol, cause string) {
	dir := folder(t)
	var edits []string
	if cause == "over the limit" {
		edits = []string{"limit_conn streams 5000;", "limit_conn streams 1;"}
		startServerIn(t, dir)
	}
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+dir+"/s.sock"), edits: edits})
	base := "http://" + p.addr
	if protocol == "HTTP/2" {
		base = "https://" + p.tls
	}
	tab := browse(t)
	var other *hundtest.Reader
	if cause == "over the limit" {
		other = hundtest.Open(t, "http://"+p.addr+live)
		other.Next("init_event")
	}
	chromium.Eval[bool](tab, fmt.Sprintf(subscribe, 1, base+live))
	tab.Within(20*time.Second, "seen.errors >= 2")
	if n := chromium.Eval[int](tab, "seen.closed"); n > 0 {
		t.Fatal("the EventSource has given up")
	}
	if other != nil {
		other.Close()
	} else {
		startServerIn(t, dir)
	}
	tab.Within(30*time.Second, "seen.events[0] > 0")
}

// On HTTP/2 any number of a browser's streams share one connection.
func TestManyTabsOneConnection(t *testing.T) {
	const n = 50
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket)})
	tab := browse(t)
	// The first tells the browser that the server speaks HTTP/2; before it
	// knows that, it opens a few connections at once.
	chromium.Eval[bool](tab, fmt.Sprintf(subscribe, 1, "https://"+p.tls+live))
	tab.Within(20*time.Second, "seen.events[0] > 0")
	chromium.Eval[bool](tab, "sources[0].close(), true")
	chromium.Eval[bool](tab, fmt.Sprintf(subscribe, n, "https://"+p.tls+live))
	tab.Within(20*time.Second, fmt.Sprintf("seen.events.filter(n => n > 0).length === %d", n))
	s.CLI("issue", "open", "--page", "demo", "--title", "Heavy load", "--component", "API", "--state", "degraded")
	if errors := chromium.Eval[int](tab, "seen.errors"); errors > 0 {
		t.Errorf("%d errors", errors)
	}
	if c := established(t, p.tls); c != 1 {
		t.Errorf("%d streams on %d connections", n, c)
	}
}

// established counts the connections to an address on loopback.
func established(t *testing.T, addr string) int {
	t.Helper()
	_, port, _ := strings.Cut(addr, ":")
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Skip("needs /proc")
	}
	n := 0
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 3 && f[3] == "01" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) {
			n++
		}
	}
	return n
}
