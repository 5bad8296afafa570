package live

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"statustail/stream/change"
)

// Pages are the live pages of one server. It is the sink of a follower
// (Opened, Hint, Message, Reached, Lost), and answers those who want a page
// (Open, Host).
type Pages struct {
	cfg     Config
	ctx     context.Context // ends with the server: bounds the loads
	metrics metrics

	reached  atomic.Uint64 // the tail's position
	lost     atomic.Int64  // since when the tail is lost, Unix nanoseconds; 0: it is not
	caughtUp chan struct{} // closed when the tail has passed its start

	mu       sync.Mutex
	lostErr  error
	history  change.Position // what lies at or before this is not news
	start    change.Position // loads must not go back behind this
	ready    bool            // caughtUp is closed
	pages    map[string]*Page
	byID     map[string][]*Page // by the ids of what they hold
	absent   absences
	log      *messageLog
	urgent   []*Page // live pages to reload
	new      []*Page // pages to load for the first time
	inFlight int     // loads at the database
	recent   recentIDs
	failures int       // failed loads in a row
	loadErr  error     // of the last of them
	failing  time.Time // when the first of them was
	resume   time.Time // no load before this, after a failure
	resumer  *time.Timer
	sweeper  *time.Timer
	hosts    hosts
}

// New makes the live pages; ctx ends all work on them.
func New(ctx context.Context, cfg Config) *Pages {
	cfg = cfg.withDefaults()
	p := &Pages{
		cfg:      cfg,
		ctx:      ctx,
		metrics:  newMetrics(cfg.Registerer),
		caughtUp: make(chan struct{}),
		pages:    make(map[string]*Page),
		byID:     make(map[string][]*Page),
		absent:   make(absences),
		log:      newMessageLog(cfg.ReplayBytes, cfg.Replay),
	}
	p.hosts.found = make(map[string]hostEntry)
	context.AfterFunc(ctx, p.stop)
	return p
}

// stop ends timers, not streams: those are drained by whoever serves them.
func (p *Pages) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range []*time.Timer{p.sweeper, p.resumer} {
		if t != nil {
			t.Stop()
		}
	}
	for _, pg := range p.pages {
		for _, t := range []*time.Timer{pg.timer, pg.wait} {
			if t != nil {
				t.Stop()
			}
		}
	}
}

func (p *Pages) reachedPosition() change.Position { return change.Position(p.reached.Load()) }

// maxNew bounds the pages that wait for their first load, so that a flood of
// unknown slugs can take neither the memory nor the database.
const maxNew = 20_000

// Open gives the live page of a slug, loading it when it is not in memory.
// It waits at most Patience. The error is ErrNotFound when there is no such
// page and ErrUnavailable when that cannot be known at the moment.
func (p *Pages) Open(ctx context.Context, slug string) (*Page, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Patience)
	defer cancel()
	select {
	case <-p.caughtUp:
	case <-ctx.Done():
		return nil, fmt.Errorf("page %.80q: %w", slug, ErrUnavailable)
	}

	p.mu.Lock()
	now := time.Now()
	if p.absent.has(slug, now) {
		p.mu.Unlock()
		p.metrics.absent.Inc()
		return nil, fmt.Errorf("page %.80q: %w", slug, ErrNotFound)
	}
	pg, ok := p.pages[slug]
	if !ok {
		if len(p.new) >= maxNew || p.failures > 0 && now.Before(p.resume) {
			p.mu.Unlock()
			return nil, fmt.Errorf("page %.80q: %w", slug, ErrUnavailable)
		}
		pg = p.register(slug, now)
		p.markDirty(pg, now)
	}
	pg.lastUse = now
	loaded := pg.loaded
	p.mu.Unlock()

	select {
	case <-loaded:
	case <-ctx.Done():
		return nil, fmt.Errorf("page %.80q: %w", slug, ErrUnavailable)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if pg.loadErr != nil {
		return nil, fmt.Errorf("page %.80q: %w", slug, pg.loadErr)
	}
	return pg, nil
}

// register puts a page into the table before it is loaded, so that hints
// meet it. mu must be held.
func (p *Pages) register(slug string, now time.Time) *Page {
	pg := &Page{
		pages: p, slug: slug, feeds: make(map[string]*feed),
		loaded: make(chan struct{}), lastUse: now,
	}
	p.pages[slug] = pg
	p.metrics.live.Set(float64(len(p.pages)))
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(sweepEvery, p.sweep)
	}
	return pg
}

// forget takes a page out of the table. mu must be held.
func (p *Pages) forget(pg *Page) {
	if p.pages[pg.slug] == pg {
		delete(p.pages, pg.slug)
	}
	p.index(pg, nil)
	if pg.timer != nil {
		pg.timer.Stop()
	}
	if pg.wait != nil {
		pg.wait.Stop()
	}
	p.metrics.live.Set(float64(len(p.pages)))
}

// index makes a page findable by the ids of what it holds. mu must be held.
func (p *Pages) index(pg *Page, ids []string) {
	for _, id := range pg.ids {
		rest := p.byID[id][:0:0]
		for _, other := range p.byID[id] {
			if other != pg {
				rest = append(rest, other)
			}
		}
		if len(rest) > 0 {
			p.byID[id] = rest
		} else {
			delete(p.byID, id)
		}
	}
	pg.ids = ids
	for _, id := range ids {
		p.byID[id] = append(p.byID[id], pg)
	}
}

// CaughtUp is closed when the tail has passed on what lay before its start.
// Until then Open waits.
func (p *Pages) CaughtUp() <-chan struct{} { return p.caughtUp }

// Health is what an operator wants to know of the tail and the loads.
type Health struct {
	CaughtUp bool
	// Since and Err are set while the database cannot be followed or read.
	Since time.Time
	Err   error
	// Reached is the tail's position.
	Reached change.Position
}

// Health reports how things stand.
func (p *Pages) Health() Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := Health{CaughtUp: p.ready, Err: p.lostErr, Reached: p.reachedPosition()}
	if lost := p.lost.Load(); lost != 0 {
		h.Since = time.Unix(0, lost)
	}
	if h.Err == nil && p.failures > 0 {
		h.Err, h.Since = p.loadErr, p.failing
	}
	return h
}

func (p *Pages) observe(kind, page, detail string, at change.Position) {
	p.cfg.Observe(Activity{Kind: kind, Page: page, Detail: detail, At: at})
}

// jitter spreads d over ±20 %.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}
