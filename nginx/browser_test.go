package nginx

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"statustail/stream/hund/hundtest"
)

// browse opens a tab of a Chromium of its own, on an empty page of loopback:
// others may not connect there without asking the user.
func browse(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if name := os.Getenv("STATUSTAIL_CHROMIUM"); name != "" {
		path, err = exec.LookPath(name)
	}
	if err != nil {
		t.Skip("Chromium is not installed: sudo apt-get install chromium")
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true))...)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	ctx, done := context.WithTimeout(ctx, 90*time.Second)
	t.Cleanup(done)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
	}))
	t.Cleanup(page.Close)
	if err := chromedp.Do(ctx, chromedp.Navigate(page.URL)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("evaluate %.200s: %v", expression, err)
	}
	return v
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
		t.Run(protocol, func(t *testing.T) {
			for _, cause := range []string{"server down", "over the limit"} {
				t.Run(cause, func(t *testing.T) {
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
					ctx := browse(t)
					var other *hundtest.Reader
					if cause == "over the limit" {
						other = hundtest.Open(t, "http://"+p.addr+live)
						other.Next("init_event")
					}
					eval[bool](t, ctx, fmt.Sprintf(subscribe, 1, base+live))
					eventually(t, "no error", 20*time.Second, func() bool { return eval[int](t, ctx, "seen.errors") >= 2 })
					if n := eval[int](t, ctx, "seen.closed"); n > 0 {
						t.Fatal("the EventSource has given up")
					}
					if other != nil {
						other.Close()
					} else {
						startServerIn(t, dir)
					}
					eventually(t, "the EventSource did not come back", 30*time.Second, func() bool {
						return eval[int](t, ctx, "seen.events[0]") > 0
					})
				})
			}
		})
	}
}

// On HTTP/2 any number of a browser's streams share one connection.
func TestManyTabsOneConnection(t *testing.T) {
	const n = 50
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket)})
	ctx := browse(t)
	// The first tells the browser that the server speaks HTTP/2; before it
	// knows that, it opens a few connections at once.
	eval[bool](t, ctx, fmt.Sprintf(subscribe, 1, "https://"+p.tls+live))
	eventually(t, "the first stream has not begun", 20*time.Second, func() bool { return eval[int](t, ctx, "seen.events[0]") > 0 })
	eval[bool](t, ctx, "sources[0].close(), true")
	eval[bool](t, ctx, fmt.Sprintf(subscribe, n, "https://"+p.tls+live))
	eventually(t, "not every stream has begun", 20*time.Second, func() bool {
		return eval[int](t, ctx, "seen.events.filter(n => n > 0).length") == n
	})
	s.CLI("issue", "open", "--page", "demo", "--title", "Heavy load", "--component", "API", "--state", "degraded")
	if errors := eval[int](t, ctx, "seen.errors"); errors > 0 {
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
