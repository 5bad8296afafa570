package live

import (
	"errors"
	"time"

	"statustail/stream/change"
)

// away is after how many failures in a row the database counts as away. A page
// that is too heavy fails a few times while its batch is halved, but its
// neighbours do not.
const away = 6

// failed puts back what could not be read. The caller holds mu.
func (r *reloader) failed(batch []*Page, err error, now time.Time) (gaveUp []*Page) {
	for _, pg := range batch {
		pg.task.stage = queued
		pg.task.pending.merge(pg.task.inFlight)
		pg.task.inFlight = request{}
	}
	if errors.Is(err, change.ErrAhead) && !r.adrift {
		r.adrift = true
		r.cfg.Logger.Warn("the database's clock has gone back; reading without positions until its changes are followed anew")
		r.halves = append(r.halves, batch)
		return nil
	}
	r.count(batch, err, now)
	unanswered(batch, now)
	if half := len(batch) / 2; half > 0 {
		r.halves = append(r.halves, batch[half:], batch[:half:half])
	} else {
		gaveUp = r.alone(batch[0], err, now)
	}
	if r.failures >= away {
		gaveUp = append(gaveUp, r.wait(now)...)
	}
	return gaveUp
}

// count counts a failure, unless it is only that of a page that keeps failing
// alone: that says nothing of the database.
func (r *reloader) count(batch []*Page, err error, now time.Time) {
	if r.err = err; len(batch) == 1 && batch[0].task.failures > 0 && r.failures > 0 && r.resume.IsZero() {
		return
	}
	if r.failures++; r.failures == 1 {
		r.since = now
	}
}

// unanswered notes since when known pages may not be true.
func unanswered(pages []*Page, now time.Time) {
	for _, pg := range pages {
		if pg.task.known {
			pg.failing.CompareAndSwap(0, now.UnixNano())
		}
	}
}

// alone has a page that cannot be read wait, or gives it up. The caller holds
// mu.
func (r *reloader) alone(pg *Page, err error, now time.Time) (gaveUp []*Page) {
	t := &pg.task
	t.stage = resting
	if !t.known {
		return []*Page{pg}
	}
	if t.failures == 0 {
		r.cfg.Logger.Warn("a page cannot be read; retrying", "page", pg.slug, "error", err)
	}
	t.notBefore = now.Add(jitter(r.cfg.Retry << min(t.failures, 4)))
	t.failures++
	r.schedule(pg, now)
	return nil
}

// wait lets the database come back, and gives up the pages that are new: their
// requests do not wait for as long as that. The caller holds mu.
func (r *reloader) wait(now time.Time) (gaveUp []*Page) {
	if r.resume.IsZero() {
		r.cfg.Logger.Warn("pages cannot be read; retrying", "error", r.err)
		unanswered(r.due, now)
	}
	r.resume = now.Add(jitter(r.cfg.Retry << min(r.failures-away, 4)))
	for _, pg := range r.new {
		pg.task.stage = resting
	}
	gaveUp, r.new = r.new, nil
	return gaveUp
}
