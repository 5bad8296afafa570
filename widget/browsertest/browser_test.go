package browsertest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/debugger"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// browser is the one Chromium of this test run; every test has tabs of its
// own in it, each test in a profile of its own.
var browser context.Context

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		path := findChromium()
		if path == "" {
			fmt.Fprintln(os.Stderr, "SKIP: no Chromium found: install it (Debian: apt-get install chromium), or name it in STATUSTAIL_CHROMIUM")
			return 0
		}
		allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1000, 760),
			chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
			chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
			chromedp.Flag("lang", "en-US"), chromedp.Env("TZ=UTC"))...)
		defer cancel()
		var stop context.CancelFunc
		browser, stop = chromedp.NewContext(allocator)
		defer stop()
		if err := chromedp.Do(browser); err != nil {
			fmt.Fprintln(os.Stderr, "start Chromium:", err)
			return 1
		}
		return m.Run()
	}())
}

func findChromium() string {
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	if name := os.Getenv("STATUSTAIL_CHROMIUM"); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// patience is how long anything may take that has no limit of its own.
const patience = 20 * time.Second

// A tab is one tab of the browser.
type tab struct {
	t       *testing.T
	ctx     context.Context
	profile context.Context // of a tab that stays, for as long as the test
	close   func()
}

// newProfile opens the first tab of a browser that knows of no other test.
func newProfile(t *testing.T) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return openTab(t, ctx)
}

// another opens a further tab beside this one.
func (p *tab) another() *tab {
	p.t.Helper()
	return openTab(p.t, p.profile)
}

func openTab(t *testing.T, profile context.Context) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(profile)
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(stop)
	p := &tab{t: t, ctx: ctx, profile: profile, close: cancel}
	p.do(chromedp.Navigate("about:blank"))
	return p
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) open(url string) {
	p.t.Helper()
	p.do(chromedp.Navigate(url))
}

// eval is the value of an expression in the tab; promises are waited for.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("evaluate %.200s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true.
func (p *tab) until(expression string) {
	p.t.Helper()
	p.within(patience, expression)
}

func (p *tab) within(limit time.Duration, expression string) {
	p.t.Helper()
	deadline := time.Now().Add(limit)
	for !eval[bool](p, "!!("+expression+")") {
		if time.Now().After(deadline) {
			p.shoot("failed")
			p.t.Fatalf("after %v it is still not true that %s\nthe widget says: %s", limit, expression,
				eval[string](p, `document.querySelector("status-widget")?.shadowRoot.querySelector(".root").innerText || "nothing"`))
		}
		// The page is asked again and again; it has no way to call us.
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-timer.C:
		case <-p.ctx.Done():
			p.t.Fatal(p.ctx.Err())
		}
	}
}

// Expressions for what a widget shows; the first widget of the page.
const (
	root = `document.querySelector("status-widget").shadowRoot`
	pill = root + `.querySelector(".pill")`

	panelText = root + `.querySelector(".panel").textContent`
	// The panel is open, and all of it is within the window.
	panelIsWhole = `(r => r.width > 0 && r.left >= 0 && r.top >= 0 && r.right <= innerWidth && r.bottom <= innerHeight)(` +
		root + `.querySelector(".panel").getBoundingClientRect())`
)

// says waits for the pill to say something.
func (p *tab) says(words string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`document.querySelector("status-widget")?.shadowRoot.querySelector(".words")?.textContent === %q`, words))
}

// panel waits for the panel to contain some text.
func (p *tab) panel(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`%s.includes(%q)`, panelText, text))
}

// gone waits for the panel not to contain it any more.
func (p *tab) gone(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`!%s.includes(%q)`, panelText, text))
}

// pause stops every script of the tab, as a debugger does, until what is
// returned is called.
func (p *tab) pause() (resume func()) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, debugger.Enable, debugger.EnableParams{}); err != nil {
		p.t.Fatal(err)
	}
	paused := chromedp.Events(p.ctx, debugger.Paused)
	if _, err := chromedp.Call(p.ctx, debugger.Pause, cdp.Empty{}); err != nil {
		p.t.Fatal(err)
	}
	for _, err := range paused {
		if err != nil {
			p.t.Fatal(err)
		}
		break
	}
	return func() {
		p.t.Helper()
		if _, err := chromedp.Call(p.ctx, debugger.Disable, cdp.Empty{}); err != nil {
			p.t.Fatal(err)
		}
	}
}

// crash kills the process of the tab.
func (p *tab) crash() {
	p.t.Helper()
	// There is nobody left to answer.
	ctx, cancel := context.WithTimeout(p.ctx, time.Second)
	defer cancel()
	_, _ = chromedp.Call(ctx, page.Crash, cdp.Empty{})
}

// alive reports whether the tab still answers.
func (p *tab) alive() bool {
	ctx, cancel := context.WithTimeout(p.ctx, time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[int]("1"))
	return err == nil && v == 1
}

// shoot puts a screenshot into the test output.
func (p *tab) shoot(name string) {
	p.t.Helper()
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	name = strings.NewReplacer("/", "-", " ", "-").Replace(p.t.Name()+"-"+name) + ".png"
	if err := os.WriteFile(filepath.Join(outputDir(p.t), name), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func outputDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("STATUSTAIL_TEST_OUTPUT")
	if dir == "" {
		_, here, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(here), "..", "..", "testoutput")
	}
	dir = filepath.Join(dir, "widget")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
