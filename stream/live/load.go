package live

import (
	"context"
	"fmt"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

// loadTimeout bounds one load of a batch.
const loadTimeout = 20 * time.Second

// markDirty asks for a reload: at once, or when the page's last one is long
// enough ago, or after the one in flight. mu must be held.
func (p *Pages) markDirty(pg *Page, now time.Time) {
	switch {
	case pg.loading:
		pg.again = true
	case pg.queued:
	case now.Before(pg.notUntil):
		if pg.timer == nil {
			until := pg.notUntil
			pg.timer = time.AfterFunc(until.Sub(now), func() { p.onTimer(pg, until) })
		}
	default:
		p.enqueue(pg)
		p.dispatch(now)
	}
}

func (p *Pages) onTimer(pg *Page, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pg.timer == nil || !pg.notUntil.Equal(until) {
		return // a load has begun since, which answers what this waited for
	}
	pg.timer = nil
	if p.pages[pg.slug] == pg {
		p.markDirty(pg, time.Now())
	}
}

func (p *Pages) enqueue(pg *Page) {
	pg.queued = true
	if pg.known {
		p.urgent = append(p.urgent, pg)
	} else {
		p.new = append(p.new, pg)
	}
}

// dispatch starts loads while there are pages to load and slots to do it
// in. What has to wait for a slot is loaded together. mu must be held.
func (p *Pages) dispatch(now time.Time) {
	if p.ctx.Err() != nil {
		return
	}
	if wait := p.resume.Sub(now); p.failures > 0 && wait > 0 {
		if p.resumer == nil {
			p.resumer = time.AfterFunc(wait, p.onResume)
		}
		return
	}
	for p.inFlight < p.cfg.Concurrency {
		batch := p.take(now)
		if len(batch) == 0 {
			return
		}
		p.inFlight++
		after := p.start
		slugs := make([]string, len(batch))
		for i, pg := range batch {
			slugs[i] = pg.slug
			after = max(after, pg.inFlight.newest, pg.at)
		}
		go p.load(batch, slugs, after, p.recent.mark())
	}
}

func (p *Pages) onResume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resumer = nil
	p.dispatch(time.Now())
}

// take gives the next batch: live pages before new ones.
func (p *Pages) take(now time.Time) []*Page {
	var batch []*Page
	for _, queue := range []*[]*Page{&p.urgent, &p.new} {
		n := 0
		for n < len(*queue) && len(batch) < p.cfg.Batch {
			pg := (*queue)[n]
			n++
			pg.queued = false
			if p.pages[pg.slug] != pg {
				continue // forgotten meanwhile
			}
			pg.loading, pg.again = true, false
			pg.inFlight.merge(pg.pending)
			pg.pending = hints{}
			if pg.timer != nil {
				pg.timer.Stop()
				pg.timer = nil
			}
			if pg.known {
				pg.notUntil = now.Add(p.cfg.Debounce)
			}
			batch = append(batch, pg)
		}
		*queue = (*queue)[n:]
		if len(*queue) == 0 {
			*queue = nil
		}
	}
	return batch
}

func (p *Pages) load(batch []*Page, slugs []string, after change.Position, mark uint64) {
	ctx, cancel := context.WithTimeout(p.ctx, loadTimeout)
	defer cancel()
	begun := time.Now()
	docs, at, err := p.cfg.Loader.Load(ctx, slugs, after)
	now := time.Now()
	p.metrics.loads.Inc()
	p.metrics.loadSeconds.Observe(now.Sub(begun).Seconds())
	if err != nil {
		p.failed(batch, now, err)
		return
	}
	p.mu.Lock()
	recovered := p.failures > 0
	p.failures = 0
	p.mu.Unlock()
	if recovered {
		p.cfg.Logger.Info("reading pages works again")
	}
	p.metrics.reloaded.Add(float64(len(batch)))
	if len(slugs) == 1 {
		p.observe("reload", slugs[0], "", at)
	} else {
		p.observe("reload", "", fmt.Sprintf("%d pages", len(slugs)), at)
	}
	for _, pg := range batch {
		if doc, ok := docs[pg.slug]; ok {
			p.found(pg, &doc, now, at, mark)
		} else {
			p.missing(pg, now, mark)
		}
	}
	p.mu.Lock()
	p.inFlight--
	if p.inFlight == 0 {
		p.recent.clear()
	}
	p.dispatch(time.Now())
	p.mu.Unlock()
}

// found takes a page that was read: publishes what is different, then
// settles what the read has answered.
func (p *Pages) found(pg *Page, doc *status.Page, now time.Time, at change.Position, mark uint64) {
	ids := make([]string, 0, len(doc.Components)+len(doc.Issues))
	for i := range doc.Components {
		ids = append(ids, doc.Components[i].ID)
	}
	for i := range doc.Issues {
		ids = append(ids, doc.Issues[i].ID)
	}

	pg.publishing.Lock()
	defer pg.publishing.Unlock()
	if pg.gone {
		return
	}
	pg.lastGood.Store(now.UnixNano())
	pg.failing.Store(0)

	p.mu.Lock()
	p.index(pg, ids)
	// From here on a hint of these ids finds the page. One that came while
	// the page was read, and may be newer than what was read, is noted.
	if p.recent.any(ids, mark) {
		pg.again = true
	}
	// What will be settled once this is published.
	covered := pg.inFlight
	pg.inFlight = hints{}
	pg.setFloor()
	id := pg.settled()
	pg.inFlight = covered
	pg.setFloor()
	p.mu.Unlock()

	// No id sent so far may lie beyond upto, or a resume from it would miss
	// what is published now.
	pg.update(doc, now, max(at, p.reachedPosition()), id)

	p.mu.Lock()
	pg.inFlight = hints{}
	pg.setFloor()
	pg.at = max(pg.at, at)
	pg.known = true
	pg.safety = now.Add(jitter(p.cfg.Safety))
	p.answered(pg, nil)
	again := pg.again
	pg.loading, pg.again = false, false
	if again {
		p.markDirty(pg, time.Now())
	}
	p.mu.Unlock()
	p.publishWaiting(pg)
}

// missing takes a page that the database does not have.
func (p *Pages) missing(pg *Page, now time.Time, mark uint64) {
	pg.publishing.Lock()
	defer pg.publishing.Unlock()
	p.mu.Lock()
	if pg.again || p.recent.any([]string{pg.slug}, mark) {
		// It was written while it was looked for.
		pg.loading, pg.again = false, false
		pg.pending.merge(pg.inFlight)
		pg.inFlight = hints{}
		p.markDirty(pg, now)
		p.mu.Unlock()
		return
	}
	p.forget(pg)
	p.absent.add(pg.slug, now)
	p.answered(pg, ErrNotFound)
	p.mu.Unlock()
	pg.end()
}

// answered releases those who wait for the first load. mu must be held.
func (p *Pages) answered(pg *Page, err error) {
	select {
	case <-pg.loaded:
		if err != nil {
			// Whoever holds the page finds its streams closed; whoever is
			// just being released is told.
			pg.loadErr = err
		}
	default:
		pg.loadErr = err
		close(pg.loaded)
	}
}

// failed takes a batch that could not be read: live pages go on with what
// they know and are tried again, new ones are given up.
func (p *Pages) failed(batch []*Page, now time.Time, err error) {
	if p.ctx.Err() != nil {
		return
	}
	p.metrics.loadErrors.Inc()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
	if p.inFlight == 0 {
		p.recent.clear()
	}
	p.failures++
	p.loadErr = err
	pause := p.cfg.Retry << min(p.failures-1, 4)
	p.resume = now.Add(jitter(pause))
	if p.failures == 1 {
		p.failing = now
		p.cfg.Logger.Warn("reading pages fails; retrying", "error", err, "pages", len(batch))
	}
	for _, pg := range batch {
		pg.loading, pg.again = false, false
		pg.pending.merge(pg.inFlight)
		pg.inFlight = hints{}
		if pg.known {
			pg.failing.CompareAndSwap(0, now.UnixNano())
			pg.notUntil = time.Time{}
			p.enqueue(pg)
		} else {
			p.forget(pg)
			p.answered(pg, ErrUnavailable)
		}
	}
	p.dispatch(now)
}
