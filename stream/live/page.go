package live

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
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
	pace  float32 // of its safety reloads, so that not all come at once

	shown    atomic.Pointer[source] // what was last read; nil before that
	lastRead atomic.Int64           // when it was last read, Unix nanoseconds
	lastGood atomic.Int64           // when what was read could be shown
	failing  atomic.Int64           // since when loads fail, Unix nanoseconds; 0: they do not

	// mu serialises everything that is published on the page's channels. It
	// is taken before Pages.mu, never after.
	mu         sync.Mutex
	gone       bool
	hash       uint64 // of what was read last
	unreadable error  // what was read last could not be decoded
	past       map[string]time.Time
	feeds      map[string]*feed // by component; the page's own under ""
	transition *time.Timer

	// Guarded by Pages.mu.
	loaded  chan struct{} // closed when the first load has ended
	loadErr error
	lastUse time.Time
	ids     []string // of the components and issues it holds, in order
	slot    int

	// Guarded by reloader.mu.
	task task
}

// A feed is one stream of a page: the page's own, or a component's.
type feed struct {
	scope   string
	view    status.View
	channel Channel
	idle    time.Time // since when nobody subscribes
}

func (f *feed) name(p *Page) string {
	if f.scope == "" {
		return p.slug
	}
	return p.slug + "/" + f.scope
}

// ID is the page's slug.
func (p *Page) ID() string { return p.slug }

// Head is what decides who may see the page. Its components and issues are
// not to be looked at: see View.
func (p *Page) Head() *status.Page { return p.shown.Load().view.Page }

// View is the page as it is at a moment.
func (p *Page) View(now time.Time) (status.View, change.Moment) {
	return p.shown.Load().view, p.moment(now)
}

// State is the document of state.json, in parts, and its entity tag.
func (p *Page) State(now time.Time) (parts [][]byte, tag string) {
	return p.shown.Load().state(p.moment(now))
}

// Channel gives the stream of the page, or of one of its components, and opens
// it if need be. The error is ErrNotFound when there is no such component, or
// the page has meanwhile gone or become private.
func (p *Page) Channel(component string) (Channel, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil, fmt.Errorf("page %s: %w", p.slug, ErrNotFound)
	}
	if f, ok := p.feeds[component]; ok {
		f.idle = time.Time{}
		return f.channel, nil
	}
	shown := p.shown.Load()
	if shown.view.Page.Private {
		return nil, fmt.Errorf("page %s is private: %w", p.slug, ErrNotFound)
	}
	view, ok := scoped(shown.view, component)
	if !ok {
		return nil, fmt.Errorf("component %.100q of page %s: %w", component, p.slug, ErrNotFound)
	}
	f := &feed{scope: component, view: view}
	if component != "" {
		shown = &source{page: p, view: view}
	}
	f.channel = p.pages.cfg.Open(p.slug, shown, component == "")
	if p.feeds == nil {
		p.feeds = make(map[string]*feed)
	}
	p.feeds[component] = f
	if _, known := p.past[component]; component != "" && !known {
		p.pages.reloads.ask(p, request{past: true}, time.Now())
	}
	return f.channel, nil
}

func scoped(v status.View, component string) (status.View, bool) {
	if component == "" {
		return v, true
	}
	return v.Component(component)
}

// scopes are the page, as "", and the components that have streams.
func (p *Page) scopes() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	scopes := []string{""}
	for scope := range p.feeds {
		if scope != "" {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// take takes what was read: publishes what is different, if anything is. past
// is nil where it was not read.
func (p *Page) take(r Reading, past map[string]time.Time, now time.Time, at change.Position, mark uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return
	}
	p.lastRead.Store(now.UnixNano())
	again := false
	switch doc, err := p.next(r, past); {
	case err != nil && p.shown.Load() == nil:
		p.pages.abandon(p)
		p.end()
		return
	case err != nil: // what is known is worth more than nothing
		p.failing.CompareAndSwap(0, now.UnixNano())
	default:
		p.lastGood.Store(now.UnixNano())
		p.failing.Store(0)
		if doc != nil {
			// From here on a hint of what the page holds finds it. One that
			// came while it was read, and may be newer, is noted.
			again = p.pages.holds(p, idsOf(doc), mark)
			p.show(doc, now)
		}
	}
	p.pages.reloads.done(p, at, again, now)
	p.pages.answer(p)
}

// next is the page that was read; nil when nothing is different. The caller
// holds mu.
func (p *Page) next(r Reading, past map[string]time.Time) (*status.Page, error) {
	before := p.shown.Load()
	same := before != nil && p.hash == r.Hash
	if same && p.unreadable != nil {
		return nil, p.unreadable
	}
	if past == nil {
		past = p.past
	}
	if same && maps.EqualFunc(past, p.past, time.Time.Equal) {
		return nil, nil
	}
	p.past = past
	if same {
		doc := *before.view.Page
		doc.PastIncidents = past
		return &doc, nil
	}
	p.hash = r.Hash
	doc, err := r.Decode()
	if p.unreadable = err; err != nil {
		return nil, err
	}
	doc.PastIncidents = past
	return &doc, nil
}

// idsOf are the ids of what a page holds, in order.
func idsOf(doc *status.Page) []string {
	ids := make([]string, 0, len(doc.Components)+len(doc.Issues))
	for i := range doc.Components {
		ids = append(ids, doc.Components[i].ID)
	}
	for i := range doc.Issues {
		ids = append(ids, doc.Issues[i].ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// missing takes that the database does not have the page.
func (p *Page) missing(now time.Time, mark uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone:
	case p.pages.remove(p, now, mark):
		p.end()
	default: // it was written while it was looked for
		p.pages.reloads.again(p, now)
	}
}

// show makes doc the page's truth and publishes what is different. The caller
// holds mu.
func (p *Page) show(doc *status.Page, now time.Time) {
	before := p.shown.Load()
	view := doc.At(now)
	own := &source{page: p, view: view}
	p.shown.Store(own)
	if before != nil && before.view.Page.Private != doc.Private && !p.pages.trusted.Load() {
		// Hints that do not come by themselves cannot tell.
		p.pages.cfg.Messages.Forget(p.slug, 0)
	}
	m := p.moment(now)
	for scope, f := range p.feeds {
		next, ok := scoped(view, scope)
		if !ok || doc.Private {
			p.closeFeed(f)
			continue
		}
		src := own
		if scope != "" {
			src = &source{page: p, view: next}
		}
		events := status.Diff(f.view, next)
		f.view = next
		f.channel.Publish(change.Publication{Source: src, Frames: src.frames(events, m)})
		if len(events) > 0 {
			p.pages.metrics.published.Add(float64(len(events)))
			p.log(scope, events)
			p.pages.observe("publish", f.name(p), fmt.Sprintf("%d events", len(events)), 0)
		}
	}
	p.arm(view, now)
}

// log has a line for each change that the page saw.
func (p *Page) log(scope string, events []status.Event) {
	log := p.pages.cfg.Logger
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	for _, e := range events {
		attrs := []any{"page", p.slug, "event", e.Kind.String()}
		if scope != "" {
			attrs = append(attrs, "stream", scope)
		}
		if e.Component != nil {
			attrs = append(attrs, "component", e.Component.ID, "state", e.Component.State.String())
		}
		if e.Issue != nil {
			attrs = append(attrs, "issue", e.Issue.ID)
		}
		log.Debug("a page changed", attrs...)
	}
}

func (p *Page) closeFeed(f *feed) {
	f.channel.Close()
	delete(p.feeds, f.scope)
	p.pages.observe("close", f.name(p), "", 0)
}

// end closes all streams for good. The caller holds mu.
func (p *Page) end() {
	p.gone = true
	for _, f := range p.feeds {
		p.closeFeed(f)
	}
	if p.transition != nil {
		p.transition.Stop()
	}
}

// arm sets the timer for the next change that needs no write. The caller holds
// mu.
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
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		p.show(p.shown.Load().view.Page, time.Now())
	}
}

// tidy closes the streams that had no subscriber for Linger, and forgets the
// page with the last of them.
func (p *Page) tidy(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.feeds {
		switch {
		case f.channel.Subscribers() > 0:
			f.idle = time.Time{}
		case f.idle.IsZero():
			f.idle = now
		case now.Sub(f.idle) > p.pages.cfg.Linger:
			p.closeFeed(f)
		}
	}
	// What is known is worth more while it cannot be read again.
	if len(p.feeds) == 0 && !p.gone && p.moment(now).StaleSince.IsZero() && p.pages.leave(p, now) {
		p.end()
	}
}

// moment says since when the page may not be true.
func (p *Page) moment(now time.Time) change.Moment {
	m := change.Moment{Now: now}
	grace := p.pages.cfg.Grace
	good := time.Unix(0, p.lastGood.Load())
	if since := p.failing.Load(); since != 0 && now.Sub(time.Unix(0, since)) > grace {
		m.StaleSince = good
		return m
	}
	if lost := p.pages.lost.Load(); lost != 0 {
		if since := time.Unix(0, lost); now.Sub(since) > grace {
			m.StaleSince = since
			if good.After(since) {
				m.StaleSince = good
			}
		}
	}
	return m
}

// answered releases those who wait for the first load; those who are just
// being released are told of an error, too. The caller holds Pages.mu.
func (p *Page) answered(err error) {
	select {
	case <-p.loaded:
		if err != nil {
			p.loadErr = err
		}
	default:
		p.loadErr = err
		close(p.loaded)
	}
}
