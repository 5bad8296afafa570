package browsertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"statustail/cmd/statustail/programtest/chromium"
)

// limit is how long a tab may be wrong after its leader's death.
const limit = 5 * time.Second

// tabs opens n tabs of one site and finds the leader among them, the one that
// holds the connection.
func openTabs(t *testing.T, s *server, n int) (leader *chromium.Tab, others []*chromium.Tab) {
	t.Helper()
	site := func(i int) string {
		return s.site(fmt.Sprint("tab", i), fmt.Sprintf(`<!doctype html><title>%d</title><script>
			heard = [];
			addEventListener("status-widget:event", e => heard.push(e.detail.name));
			streams = 0;
			EventSource = class extends EventSource { constructor(...a) { super(...a); streams++ } };
			</script><script async src="/widget.js" data-page="demo" data-open data-events="%s"></script>`, i,
			[]string{"deploy", "price"}[i%2]))
	}
	all := []*chromium.Tab{chromium.NewProfile(t)}
	all[0].Open(site(0))
	all[0].Says("All systems operational")
	for i := 1; i < n; i++ {
		p := all[0].Another()
		p.Open(site(i))
		p.Says("All systems operational")
		p.Until(`!` + chromium.Root + `.querySelector(".note")`)
		all = append(all, p)
	}
	for _, p := range all {
		if chromium.Eval[int](p, `streams`) > 0 {
			leader = p
		} else {
			others = append(others, p)
		}
	}
	if s.open() != 1 || s.opened.Load() != 1 || len(others) != n-1 {
		t.Fatalf("%d tabs have %d connections and opened %d", n, s.open(), s.opened.Load())
	}
	return leader, others
}

// right waits until every tab shows what is true, and fails when that takes
// longer than it may.
func right(t *testing.T, s *server, tabs []*chromium.Tab, died time.Time, words string) {
	t.Helper()
	for _, p := range tabs {
		p.Within(time.Until(died.Add(limit)), fmt.Sprintf(
			`%s.querySelector(".words").textContent === %q && !%s.querySelector(".note")`, chromium.Root, words, chromium.Root))
	}
	s.await("one connection", func() bool { return s.open() == 1 })
}

func TestOneConnectionForAllTabs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, others := openTabs(t, s, 8)
	s.is(troubled())
	for _, p := range others {
		p.Says("Partial outage")
	}
	// Each tab has asked for events of its own; all come over one connection.
	s.send("deploy", object{})
	s.send("price", object{})
	for _, p := range others {
		p.Until(`heard.length === 1`)
	}
	if s.opened.Load() != 1 {
		t.Errorf("opened %d streams", s.opened.Load())
	}
}

func TestLeaderCloses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	leader, others := openTabs(t, s, 8)
	s.becomes(troubled())
	died := time.Now()
	leader.Close()
	right(t, s, others, died, "Partial outage")
	// The new leader goes on from where the old one was, and asks for the
	// events that all tabs want.
	if s.resumedFrom() != "0000000000000001" {
		t.Errorf("resumed from %q", s.resumedFrom())
	}
	s.send("deploy", object{})
	s.send("price", object{})
	for _, p := range others {
		p.Until(`heard.length === 1`)
	}
}

func TestLeaderCrashes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	leader, others := openTabs(t, s, 3)
	s.becomes(troubled())
	// Each tab of a site may share the leader's process: what is left of
	// them after the crash must be right.
	died := time.Now()
	leader.Crash()
	var alive []*chromium.Tab
	for _, p := range others {
		if p.Alive() {
			alive = append(alive, p)
		}
	}
	if len(alive) == 0 {
		// All of them had one process. A new tab must find no ghost.
		p := leader.Another()
		p.Open(s.URL + "/-/demo/corner")
		alive = append(alive, p)
	}
	right(t, s, alive, died, "Partial outage")
}

// A leader that hangs keeps its lock. It is robbed of it, and knows.
func TestLeaderHangs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.URL + "/-/demo/corner")
	p.Says("All systems operational")
	other := p.Another()
	other.Open(s.site("follower", `<!doctype html><title>F</title><script async src="/widget.js" data-page="demo" data-open></script>`))
	other.Says("All systems operational")
	s.await("one connection", func() bool { return s.open() == 1 })
	resume := p.Pause()
	s.becomes(troubled())
	died := time.Now()
	s.hangUp()
	other.Within(time.Until(died.Add(limit)), chromium.Root+`.querySelector(".words").textContent === "Partial outage"`)
	resume()
	s.await("the old leader gives its connection up", func() bool { return s.open() == 1 })
	p.Says("Partial outage")
	s.is(calm())
	p.Says("All systems operational")
	other.Says("All systems operational")
}

// A leader that the browser freezes hands over, and follows when it wakes.
func TestLeaderIsFrozen(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	leader, others := openTabs(t, s, 2)
	s.becomes(troubled())
	lifecycle := func(state page.SetWebLifecycleStateState) {
		t.Helper()
		if _, err := chromedp.Call(leader.Ctx, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state}); err != nil {
			t.Fatal(err)
		}
	}
	died := time.Now()
	lifecycle(page.SetWebLifecycleStateStateFrozen)
	right(t, s, others, died, "Partial outage")
	s.is(calm())
	others[0].Says("All systems operational")
	lifecycle(page.SetWebLifecycleStateStateActive)
	leader.Says("All systems operational")
	s.await("one connection", func() bool { return s.open() == 1 })
}

// Without locks (a site without HTTPS), every tab goes alone.
func TestWithoutLocks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	site := s.site("a", `<!doctype html><title>A</title><script>
		Object.defineProperty(navigator, "locks", { value: undefined })
		</script><script async src="/widget.js" data-page="demo"></script>`)
	p := chromium.NewProfile(t)
	p.Open(site)
	p.Says("All systems operational")
	q := p.Another()
	q.Open(site)
	q.Says("All systems operational")
	s.await("two connections", func() bool { return s.open() == 2 })
	s.is(troubled())
	p.Says("Partial outage")
	q.Says("Partial outage")
}

// A frame without an origin may not lock: it goes alone.
func TestSandboxedFrame(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	inner := s.site("inner", `<!doctype html><title>I</title><script>
		addEventListener("status-widget:state", e => parent.postMessage(e.detail.state, "*"))
		</script><script async src="/widget.js" data-page="demo"></script>`)
	p := chromium.NewProfile(t)
	p.Open(s.site("a", `<!doctype html><title>A</title><script>
		addEventListener("message", e => said = e.data)
		</script><iframe sandbox="allow-scripts" src="`+inner+`"></iframe>`))
	p.Until(`window.said === "operational"`)
}
