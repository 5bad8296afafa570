package live

import (
	"maps"
	"slices"
	"time"

	"statustail/stream/change"
)

// Opened begins, or begins anew, what the tail passes on: everything at or
// after from. Where from lies beyond what was reached, or now before it,
// messages may have been lost, and every reader is told.
func (p *Pages) Opened(from, now change.Position) {
	p.observe("opened", "", "from "+from.String(), now)
	reached := p.reachedPosition()
	first := p.open(now)
	if first || from > reached || now < reached {
		if now < reached {
			p.reached.Store(uint64(from))
		}
		p.cfg.Messages.Begin(from)
	}
	p.hosts.clear()
	p.issues.clear()
	moment := time.Now()
	for _, pg := range p.all() {
		p.reloads.ask(pg, request{after: now, past: true}, moment)
	}
}

// open notes that the tail is open, and reports whether that is the first time.
func (p *Pages) open(now change.Position) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first, p.opened = !p.opened, true
	p.history = now
	p.lostErr = nil
	p.lost.Store(0)
	p.absent.clear()
	p.reloads.begin(p.pages)
	return first
}

func (p *Pages) all() []*Page {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.pages))
}

// Hint has the pages read that the changed document belongs to, or belonged to.
func (p *Pages) Hint(h change.Hint) {
	p.reloads.hinted(h.ID) // before any load that this hint itself leads to
	switch h.Collection {
	case change.Pages:
		if h.Touched&change.Identity != 0 {
			p.cfg.Messages.Forget(h.Page, h.At)
		}
		p.hosts.drop(h.Page)
		if h.Touched != 0 {
			p.hosts.drop(noPage)
		}
	case change.Issues:
		p.issues.drop(h.ID)
	}
	if p.match(h, time.Now()) {
		p.metrics.matched.Inc()
	}
	p.observe("hint", h.Page, h.Collection+" "+h.ID, h.At)
}

func (p *Pages) match(h change.Hint, now time.Time) (matched bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hit := func(pg *Page) {
		matched = true
		p.reloads.ask(pg, request{after: h.At}, now)
	}
	if h.Page != "" {
		p.absent.remove(h.Page)
		if pg, ok := p.pages[h.Page]; ok {
			hit(pg)
		}
	}
	for _, pg := range p.byID[h.ID] {
		if pg.slug != h.Page {
			hit(pg)
		}
	}
	return matched
}

// Message passes a message on: it is kept for those who return, whether
// its page is watched or not.
func (p *Pages) Message(m change.Message) {
	p.cfg.Messages.Message(m, p.cfg.Encoder.Message(m.Name, m.Data))
	p.observe("message", m.Page, m.Name, m.At)
}

// Reached moves the tail's position.
func (p *Pages) Reached(at change.Position) {
	if old := p.reachedPosition(); at > old {
		p.reached.Store(uint64(at))
		p.moved.Store(time.Now().UnixNano())
	}
	p.cfg.Messages.Reached(at)
	if p.lost.Load() != 0 || !p.isReady() {
		p.restored(at)
	}
}

// restored ends an outage of the tail, or its first catch-up.
func (p *Pages) restored(at change.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost.Store(0)
	p.lostErr = nil
	if !p.isReady() && at >= p.history {
		close(p.caughtUp)
		p.cfg.Logger.Info("caught up with the database", "position", at)
	}
}

func (p *Pages) isReady() bool {
	select {
	case <-p.caughtUp:
		return true
	default:
		return false
	}
}

// Lost says that the tail is down.
func (p *Pages) Lost(err error) {
	p.lose(err)
	p.observe("lost", "", err.Error(), 0)
}

func (p *Pages) lose(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost.CompareAndSwap(0, time.Now().UnixNano())
	p.lostErr = err
}
