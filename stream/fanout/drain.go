package fanout

import (
	"context"
	"time"
)

// Drain ends every stream, spread evenly over the given time, each with a new
// random retry: before it. Connections that come meanwhile are parked until the
// end.
// Subscribers that cannot be told in time, because their clients do not read,
// are waited for a second longer.
// When ctx is done, the rest ends at once and its error is returned. A hub
// that has been drained serves no more.
func (h *Hub) Drain(ctx context.Context, over time.Duration) error {
	h.locked(func() {
		if !isClosed(h.draining) {
			h.over = over
			close(h.draining)
		}
		h.start.Do(func() {}) // nothing starts from here on
	})

	begun := time.Now()
	step := time.NewTicker(20 * time.Millisecond)
	defer step.Stop()
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-h.ended:
			done = true
		case now := <-step.C:
			since := now.Sub(begun)
			if h.engine != nil {
				h.engine.drain(float64(since) / float64(over))
			}
			gone := h.limits.none()
			if since < over {
				done = gone && h.parked.Load() == 0
				break
			}
			h.locked(func() { shut(h.last) })
			done = gone || since > over+lastCall
		}
	}

	h.locked(func() { shut(h.ended) })
	h.outputs.interrupt()
	if h.engine != nil {
		h.engine.stop()
	}
	gone := make(chan struct{})
	go func() {
		h.serving.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// locked makes a transition.
func (h *Hub) locked(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// lastCall is how long subscribers that are late at the end of a drain may take
// to be told when to come back: only those whose client does not read take
// longer.
const lastCall = time.Second

// shut closes c unless that has been done. It must not be called twice at a
// time for one channel.
func shut(c chan struct{}) {
	if !isClosed(c) {
		close(c)
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
