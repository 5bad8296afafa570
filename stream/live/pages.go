package live

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

// Pages are the live pages of one server. It is the sink of a follower
// (Opened, Hint, Message, Reached, Lost), and answers those who want a page
// (Open, Host, Issue).
type Pages struct {
	cfg     Config
	ctx     context.Context // ends with the server: bounds the loads
	metrics metrics
	reloads *reloader
	hosts   *lookup[string, string]
	issues  *lookup[IssueRef, status.Issue]

	reached  atomic.Uint64 // the tail's position
	moved    atomic.Int64  // when it last moved, Unix nanoseconds
	trusted  atomic.Bool   // see Trust
	lost     atomic.Int64  // since when the tail is lost, Unix nanoseconds; 0: it is not
	caughtUp chan struct{} // closed when the tail has passed its start

	// mu is taken after a page's lock and before the reloader's.
	mu      sync.Mutex
	lostErr error
	opened  bool
	history change.Position // the tail has caught up when it gets there
	pages   map[string]*Page
	byID    map[string][]*Page // by the ids of what they hold
	absent  absences
	sweeper *time.Timer
	sweeps  slots
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
	}
	p.reloads = &reloader{cfg: cfg, ctx: ctx, read: p.read, gaveUp: p.giveUp, tail: p.reachedPosition}
	p.hosts, p.issues = p.newHosts(), p.newIssues()
	context.AfterFunc(ctx, p.stop)
	return p
}

// stop ends timers, not streams: those are drained by whoever serves them.
func (p *Pages) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sweeper != nil {
		p.sweeper.Stop()
	}
	p.reloads.stop(p.pages)
}

func (p *Pages) reachedPosition() change.Position { return change.Position(p.reached.Load()) }

// Trust says that hints come by themselves with every change, so that pages
// need a safety reload only now and then as long as the tail's position moves.
func (p *Pages) Trust(hints bool) { p.trusted.Store(hints) }

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
	pg, err := p.enter(slug, time.Now())
	if err != nil {
		return nil, fmt.Errorf("page %.80q: %w", slug, err)
	}
	select {
	case <-pg.loaded:
	case <-ctx.Done():
		return nil, fmt.Errorf("page %.80q: %w", slug, ErrUnavailable)
	}
	if err := p.loadError(pg); err != nil {
		return nil, fmt.Errorf("page %.80q: %w", slug, err)
	}
	return pg, nil
}

// enter finds the page in the table, or puts it there and has it read.
func (p *Pages) enter(slug string, now time.Time) (*Page, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.absent.has(slug, now) {
		p.metrics.absent.Inc()
		return nil, ErrNotFound
	}
	pg, ok := p.pages[slug]
	if !ok {
		if !p.reloads.admits(now) {
			return nil, ErrUnavailable
		}
		pg = p.register(slug, now)
		p.reloads.ask(pg, request{past: true}, now)
	}
	pg.lastUse = now
	return pg, nil
}

func (p *Pages) loadError(pg *Page) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return pg.loadErr
}

// register puts a page into the table before it is loaded, so that hints
// meet it. The caller holds mu.
func (p *Pages) register(slug string, now time.Time) *Page {
	pg := &Page{pages: p, slug: slug, loaded: make(chan struct{}), lastUse: now, pace: 0.8 + 0.4*rand.Float32()}
	p.pages[slug] = pg
	p.sweeps.add(pg)
	p.metrics.live.Set(float64(len(p.pages)))
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(sweepEvery, p.sweep)
	}
	return pg
}

// forget takes a page out of the table, and answers those who wait for it. The
// caller holds mu.
func (p *Pages) forget(pg *Page, err error) {
	if p.pages[pg.slug] == pg {
		delete(p.pages, pg.slug)
	}
	p.sweeps.remove(pg)
	p.index(pg, nil)
	p.reloads.drop(pg)
	p.metrics.live.Set(float64(len(p.pages)))
	pg.answered(err)
}

// giveUp forgets pages that are new and cannot be read.
func (p *Pages) giveUp(pages []*Page) {
	if len(pages) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pg := range pages {
		p.forget(pg, ErrUnavailable)
	}
}

// read reads a batch of pages and takes what was read.
func (p *Pages) read(ctx context.Context, batch []*Page, after change.Position, mark uint64) error {
	slugs := make([]string, len(batch))
	for i, pg := range batch {
		slugs[i] = pg.slug
	}
	begun := time.Now()
	readings, at, err := p.cfg.Loader.Load(ctx, slugs, after)
	wanted := p.pastWanted(batch, readings)
	var past map[string]map[string]time.Time
	if err == nil && len(wanted) > 0 {
		past, err = p.cfg.Loader.PastIncidents(ctx, wanted, after)
	}
	now := time.Now()
	p.metrics.loads.Inc()
	p.metrics.loadSeconds.Observe(now.Sub(begun).Seconds())
	if err != nil {
		p.metrics.loadErrors.Inc()
		return err
	}
	p.metrics.reloaded.Add(float64(len(batch)))
	if len(slugs) == 1 {
		p.observe("reload", slugs[0], "", at)
	} else {
		p.observe("reload", "", fmt.Sprintf("%d pages", len(slugs)), at)
	}
	for _, pg := range batch {
		r, found := readings[pg.slug]
		if !found {
			pg.missing(now, mark)
			continue
		}
		ended := past[pg.slug]
		if _, asked := wanted[pg.slug]; asked && ended == nil {
			ended = map[string]time.Time{}
		}
		pg.take(r, ended, now, at, mark)
	}
	return nil
}

// pastWanted says for which pages of a batch, and which of their components,
// the past incidents are to be found.
func (p *Pages) pastWanted(batch []*Page, readings map[string]Reading) map[string][]string {
	wanted := make(map[string][]string)
	for _, pg := range batch {
		if _, found := readings[pg.slug]; found && p.reloads.wantsPast(pg) {
			wanted[pg.slug] = pg.scopes()
		}
	}
	return wanted
}

// abandon forgets a new page that exists and cannot be read.
func (p *Pages) abandon(pg *Page) { p.giveUp([]*Page{pg}) }

// answer releases those who wait for a page.
func (p *Pages) answer(pg *Page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pg.answered(nil)
}

// holds notes what a page holds, and reports whether any of it was hinted
// since a mark.
func (p *Pages) holds(pg *Page, ids []string, mark uint64) (hinted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index(pg, ids)
	return p.reloads.hintedSince(ids, mark)
}

// remove forgets a page that does not exist, unless it was hinted since a
// mark.
func (p *Pages) remove(pg *Page, now time.Time, mark uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reloads.dirty(pg) || p.reloads.hintedSince([]string{pg.slug}, mark) {
		return false
	}
	p.forget(pg, ErrNotFound)
	p.absent.add(pg.slug, now)
	return true
}

// leave forgets a page that has not been used for Linger.
func (p *Pages) leave(pg *Page, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(pg.lastUse) <= p.cfg.Linger || !p.reloads.rests(pg) {
		return false
	}
	p.forget(pg, ErrNotFound)
	return true
}

// index makes a page findable by the ids of what it holds, which are in order.
// The caller holds mu.
func (p *Pages) index(pg *Page, ids []string) {
	for _, id := range pg.ids {
		if _, kept := slices.BinarySearch(ids, id); kept {
			continue
		}
		rest := slices.DeleteFunc(p.byID[id], func(o *Page) bool { return o == pg })
		if p.byID[id] = rest; len(rest) == 0 {
			delete(p.byID, id)
		}
	}
	for _, id := range ids {
		if _, known := slices.BinarySearch(pg.ids, id); !known {
			p.byID[id] = append(p.byID[id], pg)
		}
	}
	pg.ids = ids
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
	h := Health{CaughtUp: p.isReady(), Err: p.lostError(), Reached: p.reachedPosition()}
	if lost := p.lost.Load(); lost != 0 {
		h.Since = time.Unix(0, lost)
	}
	if h.Err == nil {
		h.Since, h.Err = p.reloads.trouble()
	}
	return h
}

func (p *Pages) lostError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lostErr
}

func (p *Pages) observe(kind, page, detail string, at change.Position) {
	p.cfg.Observe(Activity{Kind: kind, Page: page, Detail: detail, At: at})
}

// jitter spreads d over ±20 %.
func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5+1)
}
