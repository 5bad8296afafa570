package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A browser is a Chromium that knows nothing of other tests.
type browser struct{ ctx context.Context }

func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no Chromium found: install it (Debian: apt-get install chromium)")
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(900, 640),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))...)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return &browser{ctx}
}

// A tab is one tab of a browser.
type tab struct{ ctx context.Context }

func (b *browser) tab(t *testing.T, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	return &tab{ctx}
}

func (b *tab) run(t *testing.T, script string) {
	t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[any](script+"; null")); err != nil {
		t.Fatalf("evaluate %.200s: %v", script, err)
	}
}

func (b *tab) holds(t *testing.T, expression string) bool {
	t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
	if err != nil {
		t.Fatalf("evaluate %.200s: %v", expression, err)
	}
	return v
}

// awaitTrue asks until an expression holds: a page has no way to call us.
func (b *tab) awaitTrue(t *testing.T, expression string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for !b.holds(t, expression) {
		select {
		case <-tick.C:
		case <-timeout:
			b.screenshot(t, "failed.png")
			t.Fatalf("it never became true that %s\n%s", expression, b.shown(t))
		}
	}
}

// The first widget of the page, and what it says.
const (
	widgetElement = `document.querySelector("status-widget")`
	widgetText    = widgetElement + `?.shadowRoot.textContent`
)

func (b *tab) shown(t *testing.T) string {
	t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](widgetText+` || "no widget"`))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// awaitWidget waits until the widget knows of a state and shows the texts.
// Nobody reloads the page meanwhile.
func (b *tab) awaitWidget(t *testing.T, state string, texts ...string) {
	t.Helper()
	b.awaitTrue(t, fmt.Sprintf(`%s?.snapshot?.state === %q`, widgetElement, state))
	for _, text := range texts {
		b.run(t, widgetElement+`.setAttribute("open", "")`)
		b.awaitTrue(t, fmt.Sprintf(`%s.includes(%q)`, widgetText, text))
	}
}

func (b *tab) text(t *testing.T, text string) bool {
	t.Helper()
	return strings.Contains(b.shown(t), text)
}

// awaitConnection waits until the widget says that it is connected, or that
// it is not.
func (b *tab) awaitConnection(t *testing.T, live bool) {
	t.Helper()
	words := `/reconnect/i.test(` + widgetText + `)`
	if live {
		words = "!" + words
	}
	b.awaitTrue(t, words)
}

func (b *tab) screenshot(t *testing.T, name string) {
	t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Logf("screenshot: %v", err)
		return
	}
	dir := os.Getenv("STATUSTAIL_TEST_OUTPUT")
	if dir == "" {
		dir = "../../../testoutput"
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
