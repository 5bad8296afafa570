package live

import (
	"context"
	"slices"
	"sync"
	"time"

	"statustail/stream/change"
)

// A stage is where a page stands with its reloader.
type stage uint8

const (
	resting      stage = iota // nothing is to be read
	waiting                   // a timer has it wait: it was read, or failed, just now
	queued                    // it is read when there is a slot
	reading                   // it is being read
	readingAgain              // and what came in since is to be read after that
)

// A request is what a reload has to answer.
type request struct {
	after change.Position // what it must reflect
	past  bool            // the past incidents, too
}

func (r *request) merge(o request) {
	r.after = max(r.after, o.after)
	r.past = r.past || o.past
}

// A task is what the reloader knows of one page. It is guarded by reloader.mu.
type task struct {
	stage     stage
	known     bool // it has been read
	pending   request
	inFlight  request
	at        change.Position // what the last reading may have reflected
	notBefore time.Time
	timer     *time.Timer // while waiting
	failures  int         // in a row, alone in its batch
}

// A reloader decides when which pages are read: at once when something changed,
// but each at most once in so long; together when they have to wait for a slot;
// in halves when a batch fails. Its lock is taken after Pages.mu.
type reloader struct {
	cfg Config
	ctx context.Context
	// read reads a batch and takes what was read. done is called for each
	// page of it before it returns nil.
	read func(ctx context.Context, batch []*Page, after change.Position, mark uint64) error
	// gaveUp is told of pages that are new and cannot be read.
	gaveUp func([]*Page)
	// tail is the position that nothing must be read from before.
	tail func() change.Position

	mu       sync.Mutex
	due      []*Page   // known pages
	new      []*Page   // pages to be read for the first time
	halves   [][]*Page // of batches that failed
	inFlight int
	recent   recentIDs

	failures int // in a row
	err      error
	since    time.Time // when the first of them was
	resume   time.Time // the database is away: nothing is read before this
	timer    *time.Timer
	adrift   bool // the positions are of another history
}

// loadTimeout bounds one load of a batch.
const loadTimeout = 20 * time.Second

// maxNew bounds the pages that wait for their first load, so that a flood of
// unknown slugs can take neither the memory nor the database.
const maxNew = 20_000

// ask has a page read that reflects req.
func (r *reloader) ask(pg *Page, req request, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pg.task.pending.merge(req)
	r.schedule(pg, now)
	r.dispatch(now)
}

// admits reports whether new pages are read now.
func (r *reloader) admits(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.new) < maxNew && !now.Before(r.resume)
}

// schedule has a page read as soon as it may be. The caller holds mu.
func (r *reloader) schedule(pg *Page, now time.Time) {
	t := &pg.task
	switch {
	case t.stage == reading:
		t.stage = readingAgain
	case t.stage != resting:
	case now.Before(t.notBefore):
		t.stage = waiting
		t.timer = time.AfterFunc(t.notBefore.Sub(now), func() { r.waited(pg) })
	default:
		r.enqueue(pg)
	}
}

func (r *reloader) waited(pg *Page) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pg.task.stage == waiting {
		r.enqueue(pg)
		r.dispatch(time.Now())
	}
}

func (r *reloader) enqueue(pg *Page) {
	pg.task.stage, pg.task.timer = queued, nil
	if pg.task.known {
		if !r.resume.IsZero() {
			unanswered([]*Page{pg}, time.Now())
		}
		r.due = append(r.due, pg)
	} else {
		r.new = append(r.new, pg)
	}
}

// drop lets go of a page that is forgotten.
func (r *reloader) drop(pg *Page) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if pg.task.timer != nil {
		pg.task.timer.Stop()
	}
	pg.task.stage = resting
}

// dispatch starts to read while there are pages to read and slots to do it in.
// The caller holds mu.
func (r *reloader) dispatch(now time.Time) {
	if r.ctx.Err() != nil {
		return
	}
	if wait := r.resume.Sub(now); wait > 0 {
		if r.timer == nil {
			r.timer = time.AfterFunc(wait, r.goOn)
		}
		return
	}
	for r.inFlight < r.cfg.Concurrency {
		batch := r.take(now)
		if len(batch) == 0 {
			return
		}
		r.inFlight++
		go r.run(batch, r.after(batch), r.recent.mark())
	}
}

func (r *reloader) goOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = nil
	r.dispatch(time.Now())
}

// take gives the next batch. While the database is away it is one page. The
// caller holds mu.
func (r *reloader) take(now time.Time) (batch []*Page) {
	size := r.cfg.Batch
	if !r.resume.IsZero() {
		if size = 1; r.inFlight > 0 {
			return nil
		}
	}
	for {
		if batch = r.next(size); len(batch) == 0 {
			return nil
		}
		forgotten := func(pg *Page) bool { return pg.task.stage != queued }
		if batch = slices.DeleteFunc(batch, forgotten); len(batch) > 0 {
			break
		}
	}
	for _, pg := range batch {
		t := &pg.task
		t.stage = reading
		t.inFlight.merge(t.pending)
		t.pending = request{}
		if t.known {
			t.notBefore = now.Add(r.cfg.Debounce)
		}
	}
	return batch
}

// next takes pages from the queues: what is left of a batch that failed, else
// of known and of new pages half each, as far as there are both.
func (r *reloader) next(size int) (batch []*Page) {
	if n := len(r.halves); n > 0 {
		batch = r.halves[n-1]
		r.halves = r.halves[:n-1]
		if len(batch) > size {
			r.halves = append(r.halves, batch[size:])
			batch = batch[:size:size]
		}
		return batch
	}
	known := min(len(r.due), max(size-len(r.new), (size+1)/2))
	fresh := min(len(r.new), size-known)
	batch = slices.Concat(r.due[:known], r.new[:fresh])
	r.due, r.new = rest(r.due, known), rest(r.new, fresh)
	return batch
}

// rest is a queue without its first n; an empty one holds no memory.
func rest(queue []*Page, n int) []*Page {
	clear(queue[:n])
	if n == len(queue) {
		return nil
	}
	return queue[n:]
}

// after is the position that a batch must not be read from before.
func (r *reloader) after(batch []*Page) change.Position {
	if r.adrift {
		return 0
	}
	after := r.tail()
	for _, pg := range batch {
		after = max(after, pg.task.inFlight.after, pg.task.at)
	}
	return after
}

// begin forgets all positions: they were of another history.
func (r *reloader) begin(pages map[string]*Page) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.adrift = false
	for _, pg := range pages {
		pg.task.at, pg.task.pending.after, pg.task.inFlight.after = 0, 0, 0
	}
}

func (r *reloader) run(batch []*Page, after change.Position, mark uint64) {
	ctx, cancel := context.WithTimeout(r.ctx, loadTimeout)
	defer cancel()
	err := r.read(ctx, batch, after, mark)
	r.gaveUp(r.ended(batch, err, time.Now()))
}

// ended takes the end of a batch: pages of one that failed are read again in
// halves, one alone after a pause. It returns the new pages that are given up.
func (r *reloader) ended(batch []*Page, err error, now time.Time) (gaveUp []*Page) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inFlight--; r.inFlight == 0 {
		r.recent.clear()
	}
	switch {
	case r.ctx.Err() != nil:
		return nil
	case err == nil:
		if !r.resume.IsZero() {
			r.cfg.Logger.Info("pages can be read again", "outage", now.Sub(r.since).Round(time.Millisecond))
		}
		r.failures, r.resume = 0, time.Time{}
	default:
		gaveUp = r.failed(batch, err, now)
	}
	r.dispatch(now)
	return gaveUp
}

// done notes that a page was read, with what that may have reflected. again
// says that it is to be read again.
func (r *reloader) done(pg *Page, at change.Position, again bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &pg.task
	again = again || t.stage == readingAgain
	if t.failures > 0 {
		r.cfg.Logger.Info("a page can be read again", "page", pg.slug)
	}
	t.stage, t.inFlight, t.failures, t.known = resting, request{}, 0, true
	if !r.adrift {
		t.at = max(t.at, at)
	}
	if again {
		r.schedule(pg, now)
	}
}

// again has a page read once more that was read while it was written.
func (r *reloader) again(pg *Page, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &pg.task
	t.stage = resting
	t.pending.merge(t.inFlight)
	t.inFlight = request{}
	r.schedule(pg, now)
}

// rests reports whether nothing is to be read of a page.
func (r *reloader) rests(pg *Page) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return pg.task.stage == resting
}

// dirty reports whether something came in while a page was read.
func (r *reloader) dirty(pg *Page) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return pg.task.stage == readingAgain
}

// wantsPast reports whether the reading under way is to find past incidents.
func (r *reloader) wantsPast(pg *Page) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return pg.task.inFlight.past
}

// hinted remembers an id while something is being read.
func (r *reloader) hinted(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inFlight > 0 {
		r.recent.add(id)
	}
}

// hintedSince reports whether one of the ids was hinted after a mark.
func (r *reloader) hintedSince(ids []string, mark uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recent.any(ids, mark)
}

// position is what nothing must be read from before.
func (r *reloader) position() change.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.after(nil)
}

// trouble is why pages cannot be read, and since when; nil when they can.
func (r *reloader) trouble() (since time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures == 0 {
		return time.Time{}, nil
	}
	return r.since, r.err
}

// stop ends the timers.
func (r *reloader) stop(pages map[string]*Page) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
	for _, pg := range pages {
		if pg.task.timer != nil {
			pg.task.timer.Stop()
		}
	}
}
