package live

import "time"

const (
	// sweepEvery is how often some of the live pages are looked over, while
	// there are any; all are within sweepSlots times that.
	sweepEvery = time.Second
	sweepSlots = 5

	// movesWithin is how long a tail may stand still and count as following:
	// a quiet replica set writes a no-op every 10 s.
	movesWithin = time.Minute
)

// slots are the live pages in so many parts, so that looking them over never
// takes long.
type slots struct {
	pages  [sweepSlots]map[*Page]struct{}
	filled int // the slot that got the newest page
	swept  int
}

func (s *slots) add(pg *Page) {
	s.filled = (s.filled + 1) % sweepSlots
	pg.slot = s.filled
	if s.pages[pg.slot] == nil {
		s.pages[pg.slot] = make(map[*Page]struct{})
	}
	s.pages[pg.slot][pg] = struct{}{}
}

// turn gives the pages that are to be looked over next.
func (s *slots) turn() map[*Page]struct{} {
	s.swept = (s.swept + 1) % sweepSlots
	return s.pages[s.swept]
}

func (s *slots) remove(pg *Page) {
	delete(s.pages[pg.slot], pg)
	if len(s.pages[pg.slot]) == 0 {
		s.pages[pg.slot] = nil // a Go map never shrinks by itself
	}
}

// sweep reloads pages that have not been for long, and forgets those that are
// not watched any more.
func (p *Pages) sweep() {
	now := time.Now()
	for _, pg := range p.idle(now) {
		pg.tidy(now)
	}
	p.sweepAgain()
}

// idle has the pages of one slot reloaded that are due, and gives those that
// have not been asked for lately.
func (p *Pages) idle(now time.Time) (idle []*Page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	safety := p.safety(now)
	for pg := range p.sweeps.turn() {
		if pg.shown.Load() == nil {
			continue
		}
		if now.UnixNano()-pg.lastRead.Load() > int64(float32(safety)*pg.pace) {
			p.reloads.ask(pg, request{past: true}, now)
		}
		if now.Sub(pg.lastUse) > p.cfg.Linger {
			idle = append(idle, pg)
		}
	}
	return idle
}

// safety is how long a page may go without a reload.
func (p *Pages) safety(now time.Time) time.Duration {
	if p.trusted.Load() && now.UnixNano()-p.moved.Load() < int64(movesWithin) {
		return p.cfg.Trusted
	}
	return p.cfg.Safety
}

func (p *Pages) sweepAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweeper = nil
	if len(p.pages) > 0 && p.ctx.Err() == nil {
		p.sweeper = time.AfterFunc(sweepEvery, p.sweep)
	}
}
