// Package chromium drives Debian's Chromium in tests, and the widgets in its
// tabs. It must never be imported by the product, and knows nothing of the
// program.
package chromium

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"

	"github.com/chromedp/chromedp"
)

// browser is the one Chromium of a test run, started when the first test wants
// it; every test has a profile of its own in it.
var browser = sync.OnceValues(start)

var errNone = errors.New("no Chromium found: install it (Debian: apt-get install chromium), or name it in STATUSTAIL_CHROMIUM")

// end ends the browser; nothing before it was started.
var end = func() {}

// Close ends the browser, if a test has started it. It is for TestMain, after
// the tests.
func Close() { end() }

// start starts the browser, which outlives the test that wants it first.
func start() (context.Context, error) {
	path := find()
	if path == "" {
		return nil, errNone
	}
	allocator, free := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1000, 760),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("lang", "en-US"), chromedp.Env("TZ=UTC"))...)
	ctx, cancel := chromedp.NewContext(allocator)
	end = func() {
		cancel()
		free()
	}
	if err := chromedp.Do(ctx); err != nil {
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	return ctx, nil
}

// find gives the path of Chromium, or nothing.
func find() string {
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
