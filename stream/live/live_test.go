package live

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
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
	logged log
	t      *testing.T

	mu       sync.Mutex
	pages    map[string]status.Page
	broken   map[string]bool // pages that cannot be decoded
	heavy    map[string]bool // pages that no batch may hold
	hosts    map[string]string
	old      map[IssueRef]status.Issue
	past     map[string]map[string]time.Time
	clock    change.Position
	loads    [][]string
	afters   []change.Position
	asked    [][]string // hosts and issues
	pasts    []map[string][]string
	decoded  int
	down     error
	gate     chan struct{} // a load or a look-up reads, then waits for this, unless nil
	channels map[string]*channel
	closed   []string
	messages []string // calls of Messages
	live     *Pages
}

// channel records what is published.
type channel struct {
	w      *world
	name   string
	mu     sync.Mutex
	src    change.Source
	frames []string
	subs   int
	shut   bool
}

func (c *channel) Publish(p change.Publication) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		c.w.t.Errorf("%s: published after close", c.name)
	}
	if p.Source != nil {
		c.src = p.Source
	}
	for _, f := range p.Frames {
		c.frames = append(c.frames, string(f))
	}
}

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

func (c *channel) snapshot() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(slices.Concat(c.src.Snapshot(time.Now(), change.Fresh)...))
}

func (c *channel) view() status.View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.src.(*source).view
}

func (c *channel) leave() { c.mu.Lock(); defer c.mu.Unlock(); c.subs = 0 }

// open names channels by their page, and those of components by their view.
func (w *world) open(page string, src change.Source, messages bool) Channel {
	c := &channel{w: w, name: page, src: src}
	if !messages {
		c.name += "/" + src.(*source).view.Scope
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.channels[c.name] != nil {
		w.t.Errorf("%s: opened twice", c.name)
	}
	w.channels[c.name] = c
	return c
}

func (w *world) Begin(from change.Position) { w.said("begin %d", int64(from-w.clock)) }
func (w *world) Message(m change.Message, frame []byte) {
	w.said("message %s %s %s", m.Page, m.Key, frame)
}
func (w *world) Forget(page string, _ change.Position) { w.said("forget %s", page) }
func (w *world) Reached(change.Position)               {}

func (w *world) said(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages = append(w.messages, fmt.Sprintf(format, args...))
}

func (w *world) takeSaid() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	said := w.messages
	w.messages = nil
	return said
}

func (w *world) Load(ctx context.Context, slugs []string, after change.Position) (map[string]Reading, change.Position, error) {
	found, at, gate, err := w.read(slugs, after)
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	return found, at, err
}

func (w *world) read(slugs []string, after change.Position) (map[string]Reading, change.Position, chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loads = append(w.loads, slices.Clone(slugs))
	w.afters = append(w.afters, after)
	if after > w.clock {
		return nil, 0, w.gate, fmt.Errorf("read after %v: %w", after, change.ErrAhead)
	}
	found := make(map[string]Reading)
	for _, s := range slugs {
		if w.heavy[s] {
			return nil, 0, w.gate, errors.New("the batch is too heavy")
		}
		p, ok := w.pages[s]
		if !ok {
			continue
		}
		p.Components = slices.Clone(p.Components)
		p.Issues = slices.Clone(p.Issues)
		h := fnv.New64()
		fmt.Fprint(h, p, w.broken[s])
		broken := w.broken[s]
		found[s] = Reading{Hash: h.Sum64(), Decode: func() (status.Page, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.decoded++
			if broken {
				return status.Page{}, errors.New("does not fit")
			}
			return p, nil
		}}
	}
	return found, w.clock, w.gate, w.down
}

func (w *world) PastIncidents(ctx context.Context, wanted map[string][]string, after change.Position) (map[string]map[string]time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pasts = append(w.pasts, wanted)
	found := map[string]map[string]time.Time{}
	for slug, scopes := range wanted {
		found[slug] = map[string]time.Time{}
		for _, scope := range scopes {
			if end, ok := w.past[slug][scope]; ok {
				found[slug][scope] = end
			}
		}
	}
	return found, w.down
}

// look notes a query, and waits as long as the gate is shut.
func (w *world) look(ctx context.Context, keys []string, after change.Position) error {
	w.mu.Lock()
	w.asked = append(w.asked, keys)
	w.afters = append(w.afters, after)
	gate, down := w.gate, w.down
	w.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return down
}

func (w *world) Hosts(ctx context.Context, hosts []string, after change.Position) (map[string]string, error) {
	if err := w.look(ctx, hosts, after); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	found := map[string]string{}
	for _, host := range hosts {
		if slug, ok := w.hosts[host]; ok {
			found[host] = slug
		}
	}
	return found, nil
}

func (w *world) Issues(ctx context.Context, refs []IssueRef, after change.Position) (map[IssueRef]status.Issue, error) {
	var keys []string
	for _, ref := range refs {
		keys = append(keys, ref.Page+"/"+ref.ID)
	}
	if err := w.look(ctx, keys, after); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	found := map[IssueRef]status.Issue{}
	for _, ref := range refs {
		if is, ok := w.old[ref]; ok {
			found[ref] = is
		}
	}
	return found, nil
}

func (w *world) askedCount() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.asked) }

// words encodes readably: "init", "degraded", "issue_created i1".
type words struct{}

func (words) Facts(v status.View, m change.Moment) []byte {
	s := " " + v.Page.Name + " " + v.State.String()
	if !m.StaleSince.IsZero() {
		s += " stale"
	}
	return []byte(s)
}

func (words) Init(v status.View, facts []byte, m change.Moment, r change.Recovery) [][]byte {
	return [][]byte{[]byte("init"), facts}
}

func (words) State(v status.View, facts []byte, m change.Moment) [][]byte {
	return [][]byte{[]byte("state"), facts}
}

func (words) Tag(v status.View, facts []byte) string { return "tag" + string(facts) }

func (words) Event(v status.View, e status.Event, m change.Moment) []byte {
	names := []string{"init", "status_created", "degraded", "restored", "issue_created", "issue_updated", "issue_resolved", "issue_reopened", "issue_cancelled", "issue_started", "issue_ended", "cache_rebuilt"}
	s := names[e.Kind]
	if e.Issue != nil {
		s += " " + e.Issue.ID
	}
	if e.Component != nil {
		s += " " + e.Component.ID + " " + e.Component.State.String()
	}
	return []byte(s)
}

func (words) Ping(v status.View, m change.Moment) []byte {
	if m.StaleSince.IsZero() {
		return []byte("ping live")
	}
	return []byte("ping stale " + m.StaleSince.UTC().Format("15:04:05"))
}
func (words) Message(name string, data []byte) []byte { return []byte(name + " " + string(data)) }
func (words) Dropped(n int) []byte                    { return fmt.Append(nil, "dropped ", n) }

func newWorld(t *testing.T) *world {
	return &world{
		t: t, pages: map[string]status.Page{}, hosts: map[string]string{}, channels: map[string]*channel{},
		broken: map[string]bool{}, heavy: map[string]bool{}, old: map[IssueRef]status.Issue{},
		clock: change.PositionAt(time.Now()),
	}
}

func (w *world) config() Config {
	return Config{Loader: w, Encoder: words{}, Open: w.open, Messages: w, Logger: slog.New(slog.NewTextHandler(&w.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

// A log can be read while it is written to.
type log struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (l *log) Write(b []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.lines.Write(b) }
func (l *log) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.lines.String() }

// Each change that a page saw has a line of its own, for those who look.
func TestChangesAreLogged(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.watch("acme", "")
		w.hint("acme", "acme-api", w.put("acme", state(status.Outage)))
		pass(time.Second)
		if got := w.logged.String(); !strings.Contains(got, `level=DEBUG msg="a page changed" page=acme event=status_created component=acme-api state=outage`) {
			t.Errorf("logged %s", got)
		}
	})
}

// run gives a test a caught-up server in a bubble of fake time.
func run(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(context.Background())
		w.live = New(ctx, w.config())
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
	opened, err := pg.Channel(component)
	if err != nil {
		w.t.Fatal(err)
	}
	c := opened.(*channel)
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
		pass(time.Second)
		at := w.put("acme", state(status.Outage))
		w.hint("acme", "acme-api", at)
		synctest.Wait()
		equal(t, "page", page.take(), []string{"status_created acme-api outage", "degraded"})
		equal(t, "component", api.take(), []string{"status_created acme-api outage", "degraded"})
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
		w.hint("acme", "acme-api", w.put("acme", state(status.Outage)))
		close(gate)
		synctest.Wait()
		equal(t, "first", c.take(), []string{"status_created acme-api degraded", "degraded"})
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		equal(t, "second", c.take(), []string{"status_created acme-api outage"})
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
		equal(t, "from", from.take(), []string{"init acme operational"})
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
		equal(t, "snapshot", c.snapshot(), "init acme operational stale")
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
		c.leave()
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
		c.leave()
		w.setDown(errors.New("connection refused"))
		w.live.Lost(errors.New("connection refused"))
		time.Sleep(time.Hour)
		if pg, err := w.live.Open(context.Background(), "acme"); err != nil {
			t.Error(err)
		} else if _, stale := pg.View(time.Now()); stale.StaleSince.IsZero() {
			t.Error("an hour without the database, and not stale")
		}
	})
}

func TestComponentGoes(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.watch("acme", "acme-api")
		pass(time.Second)
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
		pass(time.Second)
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

// pass lets time go by, and what it leads to happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
