package live

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

// A Page is one live page. It is what Pages.Open returns; its exported
// methods are safe for concurrent use.
type Page struct {
	pages *Pages
	slug  string

	doc      atomic.Pointer[status.Page]
	lastGood atomic.Int64 // when the last load succeeded, Unix nanoseconds
	failing  atomic.Int64 // since when loads fail, Unix nanoseconds; 0: they do not
	// floor is the oldest position of what has come in but is not published;
	// 0 when there is nothing.
	floor atomic.Uint64

	// publishing serialises everything that is published on the page's
	// channels. It is taken before Pages.mu, never after.
	publishing sync.Mutex
	gone       bool // guarded by publishing
	feeds      map[string]*feed
	transition *time.Timer

	// What follows is guarded by Pages.mu.
	loaded   chan struct{} // closed when the first load has ended
	loadErr  error
	known    bool // a load has found it
	queued   bool
	loading  bool
	again    bool // something came in while a load was in flight
	pending  hints
	inFlight hints
	at       change.Position // what the last load reflects at most
	notUntil time.Time       // no load before this
	timer    *time.Timer     // waits for notUntil
	safety   time.Time
	lastUse  time.Time
	waiting  []waiting
	wait     *time.Timer
	ids      []string // of the components and issues it holds
}

// hints sums up the hints that one reload answers.
type hints struct{ oldest, newest change.Position }

func (h *hints) add(at change.Position) {
	if h.oldest == 0 || at < h.oldest {
		h.oldest = at
	}
	h.newest = max(h.newest, at)
}

func (h *hints) merge(o hints) {
	if o.oldest != 0 {
		h.add(o.oldest)
		h.add(o.newest)
	}
}

// A feed is one stream of a page: the page's own, or a component's.
type feed struct {
	name    string
	scope   string
	view    status.View
	channel Channel
	idle    time.Time // since when nobody subscribes
}

// ID is the page's slug.
func (p *Page) ID() string { return p.slug }

// View is the page at a moment, and since when it may no longer be true
// (zero while it is).
func (p *Page) View(now time.Time) (v status.View, stale time.Time) {
	return p.doc.Load().At(now), p.stale(now)
}

// Channel makes sure that the stream of the page, or of one of its
// components, is open, and returns its name. The error is ErrNotFound when
// there is no such component, or the page has meanwhile gone or become
// private.
func (p *Page) Channel(component string) (name string, err error) {
	p.publishing.Lock()
	defer p.publishing.Unlock()
	if p.gone {
		return "", fmt.Errorf("page %s: %w", p.slug, ErrNotFound)
	}
	if f, ok := p.feeds[component]; ok {
		f.idle = time.Time{}
		return f.name, nil
	}
	doc := p.doc.Load()
	if doc.Private {
		return "", fmt.Errorf("page %s is private: %w", p.slug, ErrNotFound)
	}
	view, ok := scoped(doc.At(time.Now()), component)
	if !ok {
		return "", fmt.Errorf("component %.100q of page %s: %w", component, p.slug, ErrNotFound)
	}
	f := &feed{name: p.slug, scope: component, view: view}
	if component != "" {
		f.name += "/" + component
	}
	p.openFeed(f)
	p.feeds[component] = f
	return f.name, nil
}

// openFeed opens the channel and gives it the messages that it may have to
// replay.
func (p *Page) openFeed(f *feed) {
	p.pages.mu.Lock()
	coverage := p.pages.log.coverage
	var past []*entry
	if f.scope == "" {
		past = p.pages.log.of(p.slug)
		past = slices.Clone(past[:len(past)-len(p.waiting)]) // what waits is still to be published
	}
	p.pages.mu.Unlock()
	f.channel = p.pages.cfg.Open(f.name, p.source(f.view), coverage)
	for _, e := range past {
		f.channel.Record(e.frames, e.key, e.at, 0)
	}
}

func scoped(v status.View, component string) (status.View, bool) {
	if component == "" {
		return v, true
	}
	return v.Component(component)
}

// update makes doc the page's truth and publishes what is different. upto is
// an upper bound of what doc reflects; id computes the position to send,
// after everything was published. publishing must be held.
func (p *Page) update(doc *status.Page, now time.Time, upto, id change.Position) {
	p.doc.Store(doc)
	view := doc.At(now)
	stale := p.stale(now)
	for scope, f := range p.feeds {
		next, ok := scoped(view, scope)
		if !ok || doc.Private {
			p.closeFeed(f)
			continue
		}
		events := status.Diff(f.view, next)
		f.view = next
		frames := p.pages.cfg.Encoder.Events(next, events, now, stale)
		f.channel.Publish(p.source(next), frames, "", upto, id)
		if len(events) > 0 {
			p.pages.metrics.published.Add(float64(len(events)))
			p.pages.observe("publish", f.name, fmt.Sprintf("%d events", len(events)), upto)
		}
	}
	p.arm(view, now)
}

// tellHole tells the readers of every stream that messages before from may
// have been lost: those that resume from before it, and, by an init_event that
// says so, those that are here. publishing must be held.
func (p *Page) tellHole(from change.Position, now time.Time) {
	told := false
	for _, f := range p.feeds {
		f.channel.Hole(from)
		init := p.pages.cfg.Encoder.Init(f.view, now, &told, p.stale(now))
		f.channel.Publish(nil, [][]byte{init}, "", from, 0)
	}
}

func (p *Page) closeFeed(f *feed) {
	f.channel.Close()
	delete(p.feeds, f.scope)
	p.pages.observe("close", f.name, "", 0)
}

// end closes all streams for good. publishing must be held.
func (p *Page) end() {
	p.gone = true
	for _, f := range p.feeds {
		p.closeFeed(f)
	}
	if p.transition != nil {
		p.transition.Stop()
	}
}

// arm sets the timer for the next change that needs no write.
func (p *Page) arm(v status.View, now time.Time) {
	if p.transition != nil {
		p.transition.Stop()
		p.transition = nil
	}
	if !v.Next.IsZero() {
		p.transition = time.AfterFunc(v.Next.Sub(now), p.onTransition)
	}
}

// onTransition publishes what the clock has changed: a maintenance begins or
// ends without a write, and with the database away too.
func (p *Page) onTransition() {
	p.publishing.Lock()
	defer p.publishing.Unlock()
	if p.gone {
		return
	}
	now := time.Now()
	// The estimated cluster time: no id sent so far may lie beyond it, or a
	// resume from that id would miss these events.
	upto := max(change.PositionAt(now.Add(time.Second)), p.pages.reachedPosition())
	p.update(p.doc.Load(), now, upto, p.settled())
}

// settled is the position up to which everything has been published.
func (p *Page) settled() change.Position {
	// The order matters: whatever was hinted before the tail reached a
	// position is in the floor by the time that position can be read.
	reached := p.pages.reachedPosition()
	if floor := change.Position(p.floor.Load()); floor != 0 {
		return min(floor-1, reached)
	}
	return reached
}

// setFloor recomputes the floor. Pages.mu must be held.
func (p *Page) setFloor() {
	var all hints
	all.merge(p.pending)
	all.merge(p.inFlight)
	if len(p.waiting) > 0 {
		all.add(p.waiting[0].at)
	}
	p.floor.Store(uint64(all.oldest))
}

// stale is since when the page may not be true; zero while it is.
func (p *Page) stale(now time.Time) time.Time {
	good := time.Unix(0, p.lastGood.Load())
	if since := p.failing.Load(); since != 0 && now.Sub(time.Unix(0, since)) > p.pages.cfg.Grace {
		return good
	}
	if lost := p.pages.lost.Load(); lost != 0 {
		if since := time.Unix(0, lost); now.Sub(since) > p.pages.cfg.Grace {
			if good.After(since) {
				return good
			}
			return since
		}
	}
	return time.Time{}
}
