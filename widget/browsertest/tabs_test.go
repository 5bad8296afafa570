package browsertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// limit is how long a tab may be wrong after its leader's death.
const limit = 5 * time.Second

// tabs opens n tabs of one site and finds the leader among them, the one that
// holds the connection.
func openTabs(t *testing.T, s *server, n int) (leader *tab, others []*tab) {
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
	all := []*tab{newProfile(t)}
	all[0].open(site(0))
	all[0].says("All systems operational")
	for i := 1; i < n; i++ {
		p := all[0].another()
		p.open(site(i))
		p.says("All systems operational")
		p.until(`!` + root + `.querySelector(".note")`)
		all = append(all, p)
	}
	for _, p := range all {
		if eval[int](p, `streams`) > 0 {
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
func right(t *testing.T, s *server, tabs []*tab, died time.Time, words string) {
	t.Helper()
	for _, p := range tabs {
		p.within(time.Until(died.Add(limit)), fmt.Sprintf(
			`%s.querySelector(".words").textContent === %q && !%s.querySelector(".note")`, root, words, root))
	}
	s.await("one connection", func() bool { return s.open() == 1 })
}

func TestOneConnectionForAllTabs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, others := openTabs(t, s, 8)
	s.is(troubled())
	for _, p := range others {
		p.says("Partial outage")
	}
	// Each tab has asked for events of its own; all come over one connection.
	s.send("deploy", object{})
	s.send("price", object{})
	for _, p := range others {
		p.until(`heard.length === 1`)
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
	leader.close()
	right(t, s, others, died, "Partial outage")
	// The new leader goes on from where the old one was, and asks for the
	// events that all tabs want.
	if s.resumedFrom() != "0000000000000001" {
		t.Errorf("resumed from %q", s.resumedFrom())
	}
	s.send("deploy", object{})
	s.send("price", object{})
	for _, p := range others {
		p.until(`heard.length === 1`)
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
	leader.crash()
	var alive []*tab
	for _, p := range others {
		if p.alive() {
			alive = append(alive, p)
		}
	}
	if len(alive) == 0 {
		// All of them had one process. A new tab must find no ghost.
		p := leader.another()
		p.open(s.URL + "/-/demo/corner")
		alive = append(alive, p)
	}
	right(t, s, alive, died, "Partial outage")
}

// A leader that hangs keeps its lock. It is robbed of it, and knows.
func TestLeaderHangs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := newProfile(t)
	p.open(s.URL + "/-/demo/corner")
	p.says("All systems operational")
	other := p.another()
	other.open(s.site("follower", `<!doctype html><title>F</title><script async src="/widget.js" data-page="demo" data-open></script>`))
	other.says("All systems operational")
	s.await("one connection", func() bool { return s.open() == 1 })
	resume := p.pause()
	s.becomes(troubled())
	died := time.Now()
	s.hangUp()
	other.within(time.Until(died.Add(limit)), root+`.querySelector(".words").textContent === "Partial outage"`)
	resume()
	s.await("the old leader gives its connection up", func() bool { return s.open() == 1 })
	p.says("Partial outage")
	s.is(calm())
	p.says("All systems operational")
	other.says("All systems operational")
}

// A leader that the browser freezes hands over, and follows when it wakes.
func TestLeaderIsFrozen(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	leader, others := openTabs(t, s, 2)
	s.becomes(troubled())
	lifecycle := func(state page.SetWebLifecycleStateState) {
		t.Helper()
		if _, err := chromedp.Call(leader.ctx, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state}); err != nil {
			t.Fatal(err)
		}
	}
	died := time.Now()
	lifecycle(page.SetWebLifecycleStateStateFrozen)
	right(t, s, others, died, "Partial outage")
	s.is(calm())
	others[0].says("All systems operational")
	lifecycle(page.SetWebLifecycleStateStateActive)
	leader.says("All systems operational")
	s.await("one connection", func() bool { return s.open() == 1 })
}

// Without locks (a site without HTTPS), every tab goes alone.
func TestWithoutLocks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	site := s.site("a", `<!doctype html><title>A</title><script>
		Object.defineProperty(navigator, "locks", { value: undefined })
		</script><script async src="/widget.js" data-page="demo"></script>`)
	p := newProfile(t)
	p.open(site)
	p.says("All systems operational")
	q := p.another()
	q.open(site)
	q.says("All systems operational")
	s.await("two connections", func() bool { return s.open() == 2 })
	s.is(troubled())
	p.says("Partial outage")
	q.says("Partial outage")
}

// A frame without an origin may not lock: it goes alone.
func TestSandboxedFrame(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	inner := s.site("inner", `<!doctype html><title>I</title><script>
		addEventListener("status-widget:state", e => parent.postMessage(e.detail.state, "*"))
		</script><script async src="/widget.js" data-page="demo"></script>`)
	p := newProfile(t)
	p.open(s.site("a", `<!doctype html><title>A</title><script>
		addEventListener("message", e => said = e.data)
		</script><iframe sandbox="allow-scripts" src="`+inner+`"></iframe>`))
	p.until(`window.said === "operational"`)
}
