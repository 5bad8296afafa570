package live

import (
	"time"

	"statustail/stream/change"
)

// Opened begins, or begins anew, what the tail passes on: everything at or
// after from. What lies at or before now is history. Where from lies beyond
// what was reached, messages may have been lost, and every reader is told.
func (p *Pages) Opened(from, now change.Position) {
	p.observe("opened", "", "from "+from.String(), now)
	p.mu.Lock()
	first := p.start == 0
	hole := !first && from > p.reachedPosition()
	p.start = max(p.start, now)
	p.history = now
	p.log.coverage = max(p.log.coverage, from) // what was evicted stays so
	p.restored()
	p.absent.clear()
	p.hosts.clear()
	moment := time.Now()
	var live []*Page
	for _, pg := range p.pages {
		p.markDirty(pg, moment)
		live = append(live, pg)
	}
	p.mu.Unlock()
	if !hole {
		return
	}
	for _, pg := range live {
		pg.publishing.Lock()
		pg.tellHole(from, moment)
		pg.publishing.Unlock()
	}
}

// Hint marks the pages that the changed document belongs to, or belonged to.
func (p *Pages) Hint(h change.Hint) {
	p.metrics.hints.Inc()
	p.mu.Lock()
	if p.inFlight > 0 {
		// Before any load that this hint itself leads to.
		p.recent.add(h.ID)
	}
	matched := false
	now := time.Now()
	hit := func(pg *Page) {
		matched = true
		pg.pending.add(h.At)
		pg.setFloor()
		p.markDirty(pg, now)
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
	if h.Collection == change.Pages {
		p.hosts.clear()
	}
	p.mu.Unlock()
	if matched {
		p.metrics.matched.Inc()
	}
	p.observe("hint", h.Page, h.Collection+" "+h.ID, h.At)
}

// Reached moves the tail's position.
func (p *Pages) Reached(at change.Position) {
	if old := p.reachedPosition(); at > old {
		p.reached.Store(uint64(at))
	}
	lost := p.lost.Load() != 0
	if !lost && p.isReady() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.restored()
	if !p.ready && at >= p.history {
		p.ready = true
		close(p.caughtUp)
		p.cfg.Logger.Info("caught up with the database", "position", at, "messages", len(p.log.entries))
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
	p.lost.CompareAndSwap(0, time.Now().UnixNano())
	p.mu.Lock()
	p.lostErr = err
	p.mu.Unlock()
	p.observe("lost", "", err.Error(), 0)
}

// restored ends an outage of the tail. mu must be held.
func (p *Pages) restored() {
	p.lost.Store(0)
	p.lostErr = nil
}
