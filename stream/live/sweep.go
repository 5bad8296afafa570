package live

import "time"

// sweepEvery is how often the live pages are looked over, while there are
// any.
const sweepEvery = time.Second

// sweep reloads pages that have not been for long, and forgets those that
// nobody watches any more.
func (p *Pages) sweep() {
	p.mu.Lock()
	now := time.Now()
	p.log.trim(now)
	var quiet []*Page
	for _, pg := range p.pages {
		if !pg.known {
			continue
		}
		if now.After(pg.safety) {
			p.markDirty(pg, now)
		}
		if now.Sub(pg.lastUse) > p.cfg.Linger {
			quiet = append(quiet, pg)
		}
	}
	p.mu.Unlock()
	for _, pg := range quiet {
		p.tidy(pg, now)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweeper = nil
	if len(p.pages) > 0 && p.ctx.Err() == nil {
		p.sweeper = time.AfterFunc(sweepEvery, p.sweep)
	}
}

// tidy closes the streams that nobody has read for Linger, and forgets the
// page with the last of them.
func (p *Pages) tidy(pg *Page, now time.Time) {
	pg.publishing.Lock()
	defer pg.publishing.Unlock()
	for _, f := range pg.feeds {
		switch {
		case f.channel.Subscribers() > 0:
			f.idle = time.Time{}
		case f.idle.IsZero():
			f.idle = now
		case now.Sub(f.idle) > p.cfg.Linger:
			pg.closeFeed(f)
		}
	}
	if len(pg.feeds) > 0 || !pg.stale(now).IsZero() {
		return // what is known is worth more while it cannot be read again
	}
	p.mu.Lock()
	if now.Sub(pg.lastUse) <= p.cfg.Linger || pg.loading {
		p.mu.Unlock()
		return
	}
	p.forget(pg)
	p.mu.Unlock()
	pg.end()
}
