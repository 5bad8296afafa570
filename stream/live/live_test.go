package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

// world is a database and the channels in front of it, all in memory.
type world struct {
	t *testing.T

	mu       sync.Mutex
	pages    map[string]status.Page
	hosts    map[string]string
	clock    change.Position
	loads    [][]string
	afters   []change.Position
	hostAsks int
	down     error
	gate     chan struct{} // a load reads, then waits for this, unless nil
	channels map[string]*channel
	closed   []string
	live     *Pages
}

// channel records what is published.
type channel struct {
	w        *world
	name     string
	mu       sync.Mutex
	src      Source
	coverage change.Position
	frames   []string
	batches  []batch
	recorded []string
	subs     int
	shut     bool
}

type batch struct {
	frames   []string
	key      string
	upto, id change.Position
	// settled is what a snapshot taken at this moment would claim.
	settled change.Position
}

func (c *channel) Publish(src Source, frames [][]byte, key string, upto, id change.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		c.w.t.Errorf("%s: published after close", c.name)
	}
	if src != nil {
		c.src = src
	}
	if len(frames) == 0 {
		return
	}
	b := batch{key: key, upto: upto, id: id, settled: c.src.Settled()}
	for _, f := range frames {
		b.frames = append(b.frames, string(f))
		c.frames = append(c.frames, string(f))
	}
	c.batches = append(c.batches, b)
}

func (c *channel) Record(frames [][]byte, key string, upto, id change.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range frames {
		c.recorded = append(c.recorded, string(f))
	}
}

func (c *channel) Hole(from change.Position) { c.mu.Lock(); c.coverage = from; c.mu.Unlock() }
func (c *channel) Close() {
	c.mu.Lock()
	c.shut = true
	c.mu.Unlock()
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	delete(c.w.channels, c.name)
	c.w.closed = append(c.w.closed, c.name)
}
func (c *channel) Subscribers() int { c.mu.Lock(); defer c.mu.Unlock(); return c.subs }

func (c *channel) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.frames
	c.frames = nil
	return f
}

func (w *world) channel(name string) *channel {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.channels[name]
}

func (w *world) Load(ctx context.Context, slugs []string, after change.Position) (map[string]status.Page, change.Position, error) {
	w.mu.Lock()
	w.loads = append(w.loads, slices.Clone(slugs))
	w.afters = append(w.afters, after)
	gate, down := w.gate, w.down
	found := make(map[string]status.Page)
	for _, s := range slugs {
		if p, ok := w.pages[s]; ok {
			p.Components = slices.Clone(p.Components)
			p.Issues = slices.Clone(p.Issues)
			found[s] = p
		}
	}
	at := w.clock
	w.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	return found, at, down
}

func (w *world) PageByHost(ctx context.Context, host string) (string, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hostAsks++
	slug, ok := w.hosts[host]
	return slug, ok, w.down
}

// words encodes readably: "init", "degraded", "issue_created i1".
type words struct{}

func (words) Init(v status.View, now time.Time, recovered *bool, stale time.Time) []byte {
	s := "init " + v.Page.Name + " " + v.State.String()
	if !stale.IsZero() {
		s += " stale"
	}
	if recovered != nil && !*recovered {
		s += " unrecovered"
	}
	return []byte(s)
}

func (words) Events(v status.View, events []status.Event, now, stale time.Time) (frames [][]byte) {
	names := []string{"init", "status_created", "degraded", "restored", "issue_created", "issue_updated", "issue_resolved", "issue_reopened", "issue_cancelled", "issue_started", "issue_ended", "cache_rebuilt"}
	for _, e := range events {
		s := names[e.Kind]
		if e.Issue != nil {
			s += " " + e.Issue.ID
		}
		if e.Component != nil {
			s += " " + e.Component.ID + " " + e.Component.State.String()
		}
		frames = append(frames, []byte(s))
	}
	return frames
}

func (words) Ping(v status.View, now, stale time.Time) []byte {
	if stale.IsZero() {
		return []byte("ping live")
	}
	return []byte("ping stale " + stale.UTC().Format("15:04:05"))
}
func (words) Message(name string, data []byte) []byte { return []byte(name + " " + string(data)) }

// run gives a test a caught-up server in a bubble of fake time.
func run(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, pages: map[string]status.Page{}, hosts: map[string]string{}, channels: map[string]*channel{},
			clock: change.PositionAt(time.Now()),
		}
		ctx, cancel := context.WithCancel(context.Background())
		w.live = New(ctx, Config{
			Loader: w, Encoder: words{},
			Open: func(name string, src Source, coverage change.Position) Channel {
				c := &channel{w: w, name: name, src: src, coverage: coverage}
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.channels[name] != nil {
					t.Errorf("%s: opened twice", name)
				}
				w.channels[name] = c
				return c
			},
		})
		w.put("acme", nil)
		w.live.Opened(w.clock, w.clock)
		w.live.Reached(w.clock)
		test(t, w)
		cancel()
		synctest.Wait()
	})
}

// put writes a page and gives the position of the write. It hints nothing.
func (w *world) put(slug string, change func(p *status.Page)) change.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.pages[slug]
	if !ok {
		p = status.Page{ID: slug, Name: slug, CreatedAt: time.Now(), Components: []status.Component{{ID: slug + "-api", Name: "API", State: status.Operational}}}
	}
	p.Components = slices.Clone(p.Components)
	p.Issues = slices.Clone(p.Issues)
	if change != nil {
		change(&p)
	}
	w.pages[slug] = p
	w.clock++
	return w.clock
}

func state(s status.State) func(*status.Page) {
	return func(p *status.Page) { p.Components[0].State = s }
}

// hint passes a hint on and moves the tail behind it.
func (w *world) hint(page, id string, at change.Position) {
	w.live.Hint(change.Hint{Collection: change.Issues, Page: page, ID: id, At: at})
	w.live.Reached(at)
}

// watch opens a page's stream and pretends that somebody reads it.
func (w *world) watch(slug, component string) *channel {
	w.t.Helper()
	pg, err := w.live.Open(context.Background(), slug)
	if err != nil {
		w.t.Fatal(err)
	}
	name, err := pg.Channel(component)
	if err != nil {
		w.t.Fatal(err)
	}
	c := w.channel(name)
	c.mu.Lock()
	c.subs = 1
	c.mu.Unlock()
	return c
}

func (w *world) closedNames() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.closed)
}

func (w *world) setDown(err error) { w.mu.Lock(); w.down = err; w.mu.Unlock() }

func (w *world) setGate(gate chan struct{}) { w.mu.Lock(); w.gate = gate; w.mu.Unlock() }

func (w *world) openGate() { w.mu.Lock(); close(w.gate); w.gate = nil; w.mu.Unlock() }

func (w *world) lastAfter() change.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.afters[len(w.afters)-1]
}

func (c *channel) sent() []batch { c.mu.Lock(); defer c.mu.Unlock(); return slices.Clone(c.batches) }

func (c *channel) covers() change.Position { c.mu.Lock(); defer c.mu.Unlock(); return c.coverage }

func (w *world) loadCount() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.loads) }

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func TestHintLeadsToTheDifference(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		page, api := w.watch("acme", ""), w.watch("acme", "acme-api")
		at := w.put("acme", state(status.Outage))
		w.hint("acme", "acme-api", at)
		synctest.Wait()
		equal(t, "page", page.take(), []string{"status_created acme-api outage", "degraded"})
		equal(t, "component", api.take(), []string{"status_created acme-api outage", "degraded"})
		equal(t, "id", page.sent()[0].id, at)
		equal(t, "settled before publishing", page.sent()[0].settled, at-1)
		equal(t, "settled", page.src.Settled(), at)
		equal(t, "after", w.lastAfter(), at)
	})
}

func TestUnwatchedPagesCostNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.hint("acme", "x", w.put("acme", nil))
		time.Sleep(time.Hour)
		equal(t, "loads", w.loadCount(), 0)
	})
}

func TestBurstIsAFewReloads(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.watch("acme", "")
		before := w.loadCount()
		for i := range 10_000 {
			w.hint("acme", "acme-api", w.put("acme", state(1+status.State(i%4))))
			if i%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if n := w.loadCount() - before; n < 5 || n > 7 {
			t.Errorf("%d reloads in a second of writing, want one each 200 ms", n)
		}
	})
}

func TestHintDuringLoadReloads(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		time.Sleep(time.Second)
		gate := make(chan struct{})
		w.setGate(gate)
		w.hint("acme", "acme-api", w.put("acme", state(status.Degraded)))
		synctest.Wait() // has read, holds the result back
		second := w.put("acme", state(status.Outage))
		w.hint("acme", "acme-api", second)
		close(gate)
		synctest.Wait()
		equal(t, "first", c.take(), []string{"status_created acme-api degraded", "degraded"})
		equal(t, "id of the first", c.sent()[0].id, second-1)
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		equal(t, "second", c.take(), []string{"status_created acme-api outage"})
		equal(t, "id of the second", c.sent()[1].id, second)
	})
}

// A delete names no page. One that comes while the first load of the page is
// in flight must not be lost, though nobody knows yet whose it is.
func TestDeleteDuringFirstLoad(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.put("acme", func(p *status.Page) {
			p.Issues = []status.Issue{{ID: "i1", Kind: status.Incident, State: status.Outage, CreatedAt: time.Now()}}
		})
		w.setGate(make(chan struct{}))
		opened := make(chan *Page)
		go func() {
			pg, err := w.live.Open(context.Background(), "acme")
			if err != nil {
				t.Error(err)
			}
			opened <- pg
		}()
		synctest.Wait()
		w.hint("", "i1", w.put("acme", func(p *status.Page) { p.Issues = nil }))
		w.openGate()
		pg := <-opened
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		v, _ := pg.View(time.Now())
		equal(t, "issues", len(v.Issues), 0)
	})
}

func TestMoveToAnotherPage(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		issue := status.Issue{ID: "i1", Kind: status.Incident, CreatedAt: time.Now()}
		w.put("acme", func(p *status.Page) { p.Issues = []status.Issue{issue} })
		w.put("other", nil)
		from, to := w.watch("acme", ""), w.watch("other", "")
		time.Sleep(time.Second)
		w.put("acme", func(p *status.Page) { p.Issues = nil })
		at := w.put("other", func(p *status.Page) { p.Issues = []status.Issue{issue} })
		w.hint("other", "i1", at)
		synctest.Wait()
		equal(t, "from", from.take(), []string{"init"})
		equal(t, "to", to.take(), []string{"issue_created i1"})
	})
}

func TestClockTransitionsNeedNoWrite(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		w.hint("acme", "i1", w.put("acme", func(p *status.Page) {
			p.Issues = []status.Issue{{
				ID: "i1", Kind: status.Maintenance, State: status.Outage, Components: []string{"acme-api"}, CreatedAt: time.Now(),
				Schedule: &status.Schedule{StartsAt: time.Now().Add(3 * time.Second), EndsAt: time.Now().Add(5 * time.Second)},
			}}
		}))
		time.Sleep(300 * time.Millisecond)
		equal(t, "scheduled", c.take(), []string{"issue_created i1"})
		w.setDown(errors.New("no database at all"))
		time.Sleep(2699 * time.Millisecond)
		equal(t, "too early", len(c.take()), 0)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		equal(t, "started", c.take(), []string{"status_created acme-api outage", "issue_started i1", "degraded"})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		equal(t, "ended", c.take(), []string{"status_created acme-api operational", "issue_ended i1", "restored"})
		for _, b := range c.sent() {
			if b.upto < b.id {
				t.Errorf("upto %v before id %v: a resume would miss the batch", b.upto, b.id)
			}
		}
	})
}

func TestSafetyReloadFindsWhatNoHintTold(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		w.put("acme", state(status.Degraded))
		time.Sleep(40 * time.Second)
		equal(t, "events", c.take(), []string{"status_created acme-api degraded", "degraded"})
	})
}

func TestLastKnownStateWhileAway(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		w.setDown(errors.New("connection refused"))
		w.live.Lost(errors.New("connection refused"))
		w.put("acme", state(status.Outage))
		time.Sleep(time.Minute)
		if ping := string(c.src.Ping(time.Now())); !strings.HasPrefix(ping, "ping stale") {
			t.Errorf("ping says %q", ping)
		}
		equal(t, "snapshot", string(c.src.Snapshot(time.Now(), nil)), "init acme operational stale")
		if _, err := w.live.Open(context.Background(), "other"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("page not in memory: %v", err)
		}
		if h := w.live.Health(); h.Err == nil || !h.CaughtUp {
			t.Errorf("health: %+v", h)
		}
		w.setDown(nil)
		w.live.Reached(w.clock)
		time.Sleep(20 * time.Second)
		equal(t, "events", c.take(), []string{"status_created acme-api outage", "degraded"})
		equal(t, "ping", string(c.src.Ping(time.Now())), "ping live")
		if h := w.live.Health(); h.Err != nil {
			t.Errorf("health: %v", h.Err)
		}
	})
}

func TestForgottenAfterLinger(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		time.Sleep(10 * time.Minute)
		equal(t, "closed while read", w.closedNames(), []string(nil))
		c.mu.Lock()
		c.subs = 0
		c.mu.Unlock()
		time.Sleep(50 * time.Second)
		equal(t, "closed too early", w.closedNames(), []string(nil))
		time.Sleep(20 * time.Second)
		equal(t, "closed", w.closedNames(), []string{"acme"})
		loads := w.loadCount()
		time.Sleep(time.Hour)
		equal(t, "loads of a forgotten page", w.loadCount()-loads, 0)
		w.watch("acme", "")
	})
}

func TestNotForgottenWhileAway(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		c.mu.Lock()
		c.subs = 0
		c.mu.Unlock()
		w.setDown(errors.New("connection refused"))
		w.live.Lost(errors.New("connection refused"))
		time.Sleep(time.Hour)
		if pg, err := w.live.Open(context.Background(), "acme"); err != nil {
			t.Error(err)
		} else if _, stale := pg.View(time.Now()); stale.IsZero() {
			t.Error("an hour without the database, and not stale")
		}
	})
}

func TestComponentGoes(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.watch("acme", "acme-api")
		w.hint("", "acme-api", w.put("acme", func(p *status.Page) { p.Components = nil }))
		synctest.Wait()
		equal(t, "closed", w.closedNames(), []string{"acme/acme-api"})
		pg, _ := w.live.Open(context.Background(), "acme")
		if _, err := pg.Channel("acme-api"); !errors.Is(err, ErrNotFound) {
			t.Errorf("opened again: %v", err)
		}
	})
}

func TestPageGoesAndComesBack(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.watch("acme", "")
		w.mu.Lock()
		delete(w.pages, "acme")
		w.clock++
		w.mu.Unlock()
		w.live.Hint(change.Hint{Collection: change.Pages, Page: "acme", ID: "acme", At: w.clock})
		synctest.Wait()
		equal(t, "closed", w.closedNames(), []string{"acme"})
		for range 1000 {
			if _, err := w.live.Open(context.Background(), "acme"); !errors.Is(err, ErrNotFound) {
				t.Fatalf("deleted page: %v", err)
			}
		}
		equal(t, "loads", w.loadCount(), 2)
		at := w.put("acme", nil)
		w.live.Hint(change.Hint{Collection: change.Pages, Page: "acme", ID: "acme", At: at})
		w.watch("acme", "")
	})
}

func TestPrivateEndsStreams(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.watch("acme", "")
		w.watch("acme", "acme-api")
		w.hint("acme", "acme", w.put("acme", func(p *status.Page) { p.Private = true }))
		synctest.Wait()
		equal(t, "closed", len(w.closedNames()), 2)
		pg, err := w.live.Open(context.Background(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pg.Channel(""); !errors.Is(err, ErrNotFound) {
			t.Errorf("a private page has a stream: %v", err)
		}
	})
}

func TestLoadsAreBatchedAndBounded(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		for i := range 10_000 {
			w.put(fmt.Sprintf("p%d", i), nil)
		}
		w.setGate(make(chan struct{}))
		var wg sync.WaitGroup
		for i := range 10_000 {
			wg.Go(func() {
				if _, err := w.live.Open(context.Background(), fmt.Sprintf("p%d", i)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		equal(t, "loads in flight", w.loadCount(), 4)
		w.openGate()
		wg.Wait()
		if n := w.loadCount(); n > 60 {
			t.Errorf("%d loads for 10,000 pages", n)
		}
	})
}

func TestHosts(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.hosts["status.acme.example"] = "acme"
		for range 5 {
			slug, err := w.live.Host(ctx, "status.acme.example")
			equal(t, "slug", slug, "acme")
			equal(t, "error", err, nil)
			_, err = w.live.Host(ctx, "nobody.example")
			if !errors.Is(err, ErrNotFound) {
				t.Error(err)
			}
		}
		equal(t, "look-ups", w.hostAsks, 2)
		w.mu.Lock()
		w.hosts["nobody.example"] = "acme"
		w.mu.Unlock()
		w.live.Hint(change.Hint{Collection: change.Pages, Page: "acme", ID: "acme", At: w.clock})
		slug, _ := w.live.Host(ctx, "nobody.example")
		equal(t, "after a hint", slug, "acme")
	})
}

func (w *world) message(page, name string, at change.Position) {
	w.live.Message(change.Message{ID: name, Page: page, Name: name, Data: []byte("1"), At: at})
	w.live.Reached(at)
}

func TestMessages(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.message("acme", "early", w.clock+1)
		w.message("other", "elsewhere", w.clock+2)
		c := w.watch("acme", "")
		equal(t, "seeded", c.recorded, []string{"early 1"})
		w.message("acme", "now", w.clock+3)
		equal(t, "published", c.take(), []string{"now 1"})
		equal(t, "id", c.sent()[0].id, w.clock+3)
	})
}

func TestMessageWaitsForTheReloadBeforeIt(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		time.Sleep(time.Second)
		gate := make(chan struct{})
		w.setGate(gate)
		at := w.put("acme", state(status.Degraded))
		w.hint("acme", "acme-api", at)
		w.message("acme", "deploy", at+1)
		w.message("acme", "done", at+2)
		synctest.Wait()
		equal(t, "while the reload runs", len(c.take()), 0)
		equal(t, "settled", c.src.Settled(), at-1)
		close(gate)
		synctest.Wait()
		equal(t, "after", c.take(), []string{"status_created acme-api degraded", "degraded", "deploy 1", "done 1"})
		equal(t, "ids", []change.Position{c.sent()[0].id, c.sent()[1].id, c.sent()[2].id}, []change.Position{at, at + 1, at + 2})
	})
}

func TestMessageWaitsOneSecondAtMost(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		time.Sleep(time.Second)
		w.setGate(make(chan struct{}))
		defer w.openGate()
		at := w.put("acme", state(status.Degraded))
		w.hint("acme", "acme-api", at)
		w.message("acme", "deploy", at+1)
		time.Sleep(999 * time.Millisecond)
		equal(t, "too early", len(c.take()), 0)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		equal(t, "published", c.take(), []string{"deploy 1"})
		equal(t, "id", c.sent()[0].id, change.Position(0))
		equal(t, "settled", c.src.Settled(), at-1)
	})
}

func TestNothingIsOpenBeforeTheFirstCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		w := &world{t: t, pages: map[string]status.Page{"acme": {ID: "acme"}}, channels: map[string]*channel{}}
		w.live = New(ctx, Config{Loader: w, Encoder: words{}, Open: func(name string, src Source, coverage change.Position) Channel {
			c := &channel{w: w, name: name, src: src, coverage: coverage}
			w.channels[name] = c
			return c
		}})
		w.live.Opened(100, 200)
		w.message("acme", "old", 150)
		opened := make(chan error, 1)
		go func() { _, err := w.live.Open(ctx, "acme"); opened <- err }()
		time.Sleep(time.Second)
		select {
		case err := <-opened:
			t.Fatalf("opened before the catch-up: %v", err)
		default:
		}
		w.live.Reached(200)
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
		c := w.watch("acme", "")
		equal(t, "replayable", c.recorded, []string{"old 1"})
		equal(t, "coverage", c.covers(), change.Position(100))
		equal(t, "published", len(c.take()), 0)
	})
}

func TestHoleIsToldAndEverythingReloaded(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		time.Sleep(time.Second)
		at := w.put("acme", state(status.Degraded))
		w.live.Opened(at, at)
		synctest.Wait()
		equal(t, "events", c.take(), []string{"init acme operational unrecovered", "status_created acme-api degraded", "degraded"})
		equal(t, "coverage", c.covers(), at)
		equal(t, "after", w.lastAfter(), at)
	})
}

// A collection was dropped: everything may have changed, but no message is
// missing.
func TestReopenedWithoutAHole(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		time.Sleep(time.Second)
		before := c.covers()
		at := w.put("acme", state(status.Degraded))
		w.live.Reached(at)
		w.live.Opened(before, at)
		synctest.Wait()
		equal(t, "events", c.take(), []string{"status_created acme-api degraded", "degraded"})
		equal(t, "coverage", c.covers(), before)
	})
}

func TestMessageLogBounds(t *testing.T) {
	l := newMessageLog(3*(entryOverhead+1), time.Minute)
	start := time.Unix(1000, 0)
	for i := range 5 {
		l.add(&entry{page: fmt.Sprint(i % 2), frames: [][]byte{{'x'}}, at: change.Position(10 + i), added: start.Add(time.Duration(i) * time.Second)})
	}
	equal(t, "entries", len(l.entries), 3)
	equal(t, "coverage", l.coverage, change.Position(12))
	equal(t, "of 0", len(l.of("0")), 2)
	l.trim(start.Add(2*time.Minute + time.Second))
	equal(t, "entries", len(l.entries), 0)
	equal(t, "bytes", l.bytes, 0)
	equal(t, "pages", len(l.byPage), 0)
	equal(t, "coverage", l.coverage, change.Position(15))
}
