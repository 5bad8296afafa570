package browsertest

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"statustail/cmd/statustail/programtest/chromium"
)

// fast is a site on which time runs so many times as fast for its scripts.
func fast(times int) string {
	return fmt.Sprintf(`<!doctype html><title>A</title><script>
	{
		const now = Date.now.bind(Date), begin = now(), timeout = setTimeout, interval = setInterval;
		Date.now = () => begin + (now() - begin) * %[1]d;
		window.setTimeout = (f, ms) => timeout(f, ms / %[1]d);
		window.setInterval = (f, ms) => interval(f, ms / %[1]d);
	}
	said = [];
	addEventListener("status-widget:connection", e => said.push(e.detail.connection));
	</script>
	<script async src="/widget.js" data-page="demo" data-open></script>`, times)
}

func TestServerClosesTheStream(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.site("a", fast(20)))
	p.Says("All systems operational")
	s.becomes(troubled())
	s.hangUp()
	p.Says("Partial outage")
	p.Until(`said.join() === "connecting,live,reconnecting,live"`)
	// The browser itself remembers where it was.
	if s.resumedFrom() != "0000000000000001" {
		t.Errorf("resumed from %q", s.resumedFrom())
	}
}

func TestServerAnswersBadly(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.site("a", fast(20)))
	p.Says("All systems operational")
	s.refuse(http.StatusBadGateway)
	s.answer(func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) })
	s.becomes(troubled())
	s.hangUp()
	p.Until(`said.at(-1) === "reconnecting"`)
	p.Until(chromium.Root + `.querySelector(".note").textContent.startsWith("Reconnecting, as of ")`)
	before := s.opened.Load()
	s.await("it tries again", func() bool { return s.opened.Load() >= before+3 })
	p.Says("All systems operational")
	s.answer(nil)
	s.refuse(0)
	p.Says("Partial outage")
	p.Until(`said.at(-1) === "live" && !` + chromium.Root + `.querySelector(".note")`)
	// We remember for the browser, which has forgotten.
	if s.resumedFrom() != "0000000000000001" {
		t.Errorf("resumed from %q", s.resumedFrom())
	}
}

func TestPageThatDoesNotExist(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.answer(func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) })
	s.refuse(http.StatusNotFound)
	p := chromium.NewProfile(t)
	p.Open(s.site("a", fast(60)))
	p.Says("Status unknown")
	p.Until(`said.at(-1) === "unavailable"`)
	// Ten minutes until it is asked for again.
	opened, polled := s.opened.Load(), s.polled.Load()
	chromium.Eval[any](p, `new Promise(done => setTimeout(done, 5 * 60e3))`)
	if s.opened.Load() != opened || s.polled.Load() != polled {
		t.Errorf("asked again at once: %d streams, %d polls", s.opened.Load()-opened, s.polled.Load()-polled)
	}
	s.answer(nil)
	s.refuse(0)
	p.Within(chromium.Patience, `said.at(-1) === "live"`)
	p.Says("All systems operational")

	// Made private while it is watched: what was known is not shown any more.
	s.answer(func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnauthorized) })
	s.refuse(http.StatusUnauthorized)
	s.hangUp()
	p.Says("Status unknown")
	p.Until(`document.querySelector("status-widget").snapshot === null`)
}

// A proxy that keeps the stream for itself: state.json is read instead, by
// and by, and the stream is tried again.
func TestStreamIsBlocked(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.answer(func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		<-s.ended
	})
	s.becomes(troubled())
	p := chromium.NewProfile(t)
	p.Open(s.site("a", fast(60)))
	p.Says("Partial outage")
	p.Until(`said.join() === "connecting,polling"`)
	p.Until(chromium.Root + `.querySelector(".note").textContent.startsWith("As of ")`)
	s.becomes(calm())
	p.Says("All systems operational")
	polled := s.polled.Load()
	s.await("more polls", func() bool { return s.polled.Load() >= polled+2 })
	if s.unchanged.Load() == 0 {
		t.Error("polls do not ask whether anything has changed")
	}
	s.answer(nil)
	s.await("the stream is tried again", func() bool { return s.open() == 1 })
	p.Until(`said.at(-1) === "live"`)
	polled = s.polled.Load()
	chromium.Eval[any](p, `new Promise(done => setTimeout(done, 3 * 60e3))`)
	if s.polled.Load() != polled {
		t.Error("it polls beside the stream")
	}
}

// The server says nothing, not even pings: the connection is made anew.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.site("a", fast(20)))
	p.Says("All systems operational")
	s.becomes(troubled())
	if n := s.opened.Load(); n != 1 {
		t.Fatalf("%d streams", n)
	}
	// Two and a half minutes, and it is never shown as live after that.
	p.Within(chromium.Patience, `said.includes("reconnecting")`)
	p.Says("Partial outage")
	s.await("the silent stream is closed", func() bool { return s.open() == 1 })
}

// The server lives, but its database does not: it says so, and so do we.
func TestStale(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.URL + "/-/demo/corner")
	p.Says("All systems operational")
	chromium.Eval[any](p, `document.querySelector("status-widget").setAttribute("open", ""), null`)
	p.Panel("Live")
	// 14:02 on some day, in the visitor's zone.
	s.send("ping_event", object{"state": "operational", "live": false, "stale_since": 1700056920})
	p.Panel("As of Nov 15, 2023, 2:02 PM")
	p.Until(chromium.Root + `.querySelector(".note")`)
	s.send("ping_event", object{"state": "operational", "live": true})
	p.Panel("Live")
	p.Until(`!` + chromium.Root + `.querySelector(".note")`)
}

func TestNetworkGoesAndComes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.site("a", fast(20)))
	p.Says("All systems operational")
	offline := func(yes bool) {
		t.Helper()
		if _, err := chromedp.Call(p.Ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{
			Offline: yes, DownloadThroughput: -1, UploadThroughput: -1}); err != nil {
			t.Fatal(err)
		}
	}
	offline(true)
	p.Until(`said.at(-1) === "reconnecting"`)
	s.becomes(troubled())
	s.hangUp()
	offline(false)
	p.Says("Partial outage")
	p.Until(`said.at(-1) === "live"`)
}

// The demo page that plays a cut network does what its buttons say.
func TestOfflineDemo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.URL + "/-/demo/offline")
	p.Says("All systems operational")
	p.Panel("Live")
	p.Do(chromedp.Click(chromedp.ID("cut")))
	p.Until(chromium.Root + `.querySelector(".note")?.textContent.startsWith("Reconnecting, as of ")`)
	s.becomes(troubled())
	p.Do(chromedp.Click(chromedp.ID("join")))
	p.Says("Partial outage")
	p.Until(`!` + chromium.Root + `.querySelector(".note")`)
}

// A page that is left holds nothing; one that comes back out of the browser's
// cache is right again.
func TestBackAndForward(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.site("a", fast(20)))
	p.Says("All systems operational")
	chromium.Eval[any](p, `kept = true, null`)
	p.Open(s.site("b", `<!doctype html><title>B</title>`))
	s.await("no stream", func() bool { return s.open() == 0 })
	s.becomes(troubled())
	unkept := chromedp.Events(p.Ctx, page.BackForwardCacheNotUsed)
	chromium.Eval[any](p, `history.back(), null`)
	p.Says("Partial outage")
	if !chromium.Eval[bool](p, `"kept" in window`) {
		t.Error("the page was not kept by the browser: the widget stands in the way")
		for event, err := range unkept {
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range event.NotRestoredExplanations {
				t.Logf("%s: %s", e.Type, e.Reason)
			}
			break
		}
	}
	s.await("one stream", func() bool { return s.open() == 1 })
}
