package chromium

import (
	"context"
	"errors"
	"os"
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

// Patience is how long anything may take that has no limit of its own.
const Patience = 20 * time.Second

// A Tab is one tab of the browser. Its methods fail the test when they fail.
type Tab struct {
	T       *testing.T
	Ctx     context.Context // of chromedp, for what has no method here
	profile context.Context // of a tab that stays, for as long as the test
	Close   func()
}

// NewProfile opens the first tab of a browser that knows of no other test.
// Where no Chromium is installed, it skips the test.
func NewProfile(t *testing.T) *Tab {
	t.Helper()
	b, err := browser()
	if errors.Is(err, errNone) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(b, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return openTab(t, ctx)
}

// Another opens a further tab beside this one.
func (p *Tab) Another() *Tab {
	p.T.Helper()
	return openTab(p.T, p.profile)
}

func openTab(t *testing.T, profile context.Context) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(profile)
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(stop)
	p := &Tab{T: t, Ctx: ctx, profile: profile, Close: cancel}
	p.Do(chromedp.Navigate("about:blank"))
	return p
}

// Do runs actions.
func (p *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	p.T.Helper()
	if err := chromedp.Do(p.Ctx, actions...); err != nil {
		p.T.Fatal(err)
	}
}

// Open goes to a page and waits until it has loaded.
func (p *Tab) Open(url string) {
	p.T.Helper()
	p.Do(chromedp.Navigate(url))
}

// Eval is the value of an expression in the tab; promises are waited for.
func Eval[T any](p *Tab, expression string) T {
	p.T.Helper()
	v, err := chromedp.Run(p.Ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.T.Fatalf("evaluate %.200s: %v", expression, err)
	}
	return v
}

// Until waits for an expression to be true.
func (p *Tab) Until(expression string) {
	p.T.Helper()
	p.Within(Patience, expression)
}

// Within waits for an expression to be true, no longer than limit.
func (p *Tab) Within(limit time.Duration, expression string) {
	p.T.Helper()
	deadline := time.Now().Add(limit)
	for !Eval[bool](p, "!!("+expression+")") {
		if time.Now().After(deadline) {
			p.Shoot("failed")
			p.T.Fatalf("after %v it is still not true that %s\nthe page shows: %s", limit, expression, Eval[string](p,
				`(document.querySelector("status-widget")?.shadowRoot.querySelector(".root") ?? document.body).innerText || "nothing"`))
		}
		// The page is asked again and again; it has no way to call us.
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-timer.C:
		case <-p.Ctx.Done():
			p.T.Fatal(p.Ctx.Err())
		}
	}
}

// Pause stops every script of the tab, as a debugger does, until what is
// returned is called.
func (p *Tab) Pause() (resume func()) {
	p.T.Helper()
	if _, err := chromedp.Call(p.Ctx, debugger.Enable, debugger.EnableParams{}); err != nil {
		p.T.Fatal(err)
	}
	paused := chromedp.Events(p.Ctx, debugger.Paused)
	if _, err := chromedp.Call(p.Ctx, debugger.Pause, cdp.Empty{}); err != nil {
		p.T.Fatal(err)
	}
	for _, err := range paused {
		if err != nil {
			p.T.Fatal(err)
		}
		break
	}
	return func() {
		p.T.Helper()
		if _, err := chromedp.Call(p.Ctx, debugger.Disable, cdp.Empty{}); err != nil {
			p.T.Fatal(err)
		}
	}
}

// Crash kills the process of the tab.
func (p *Tab) Crash() {
	p.T.Helper()
	// There is nobody left to answer.
	ctx, cancel := context.WithTimeout(p.Ctx, time.Second)
	defer cancel()
	_, _ = chromedp.Call(ctx, page.Crash, cdp.Empty{})
}

// Alive reports whether the tab still answers.
func (p *Tab) Alive() bool {
	ctx, cancel := context.WithTimeout(p.Ctx, time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[int]("1"))
	return err == nil && v == 1
}

// Shoot puts a screenshot into the test output.
func (p *Tab) Shoot(name string) {
	p.T.Helper()
	png, err := chromedp.Run(p.Ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.T.Fatal(err)
	}
	name = strings.NewReplacer("/", "-", " ", "-").Replace(p.T.Name()+"-"+name) + ".png"
	if err := os.WriteFile(filepath.Join(outputDir(p.T), name), png, 0o644); err != nil {
		p.T.Fatal(err)
	}
}

// outputDir is where what a person may want to look at is put.
func outputDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("STATUSTAIL_TEST_OUTPUT")
	if dir == "" {
		_, here, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(here), "..", "..", "..", "..", "testoutput")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
