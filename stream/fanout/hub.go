package fanout

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"statustail/stream/change"
)

// ErrNoChannel says that the channel asked for is not open (any more). Not a
// byte has been written.
var ErrNoChannel = errors.New("fanout: no such channel")

// A Request is what the hub must know of a subscriber.
type Request struct {
	Channel     string
	Page        string // counted against Config.MaxPerPage
	Client      string // the client's address, counted against Config.MaxPerClient; empty: not known, not counted
	LastEventID string // empty on a fresh connection
}

// A Hub holds the channels and everybody connected to them.
type Hub struct {
	cfg     Config
	tick    time.Duration
	metrics *metrics
	limits  *limits
	parked  atomic.Int64
	outputs outputs

	// mu guards the channels and the transitions below. It is taken before
	// any other lock.
	mu       sync.RWMutex
	channels map[string]*Channel
	over     time.Duration  // set before draining is closed
	serving  sync.WaitGroup // handlers under way; not added to once ended

	draining chan struct{} // closed when Drain is called
	last     chan struct{} // closed when the time of the drain is over
	ended    chan struct{} // closed when nobody may stay
	start    sync.Once
	engine   *engine // set by start; nil: every connection is portable
}

// New makes a hub. It uses no resources before its first subscriber; Drain
// frees them.
func New(cfg Config) *Hub {
	h := &Hub{
		cfg:      cfg.withDefaults(),
		channels: make(map[string]*Channel),
		draining: make(chan struct{}),
		last:     make(chan struct{}),
		ended:    make(chan struct{}),
	}
	h.tick = h.cfg.tick()
	h.limits = newLimits(&h.cfg)
	h.metrics = newMetrics(cfg.Registerer, func() float64 {
		h.mu.RLock()
		defer h.mu.RUnlock()
		return float64(len(h.channels))
	})
	return h
}

// Open makes a channel that shows src. Its ring is empty, and complete from
// coverage on: whatever is published or recorded from now on is all that
// happened at or after coverage. What is to be replayed must be recorded
// before anybody may subscribe. An open channel of that name is closed.
func (h *Hub) Open(name string, src Source, coverage change.Position) *Channel {
	c := &Channel{hub: h, name: name, src: src}
	c.ring.coverage = coverage
	h.mu.Lock()
	old := h.channels[name]
	h.channels[name] = c
	h.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return c
}

func (h *Hub) forget(c *Channel) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.channels[c.name] == c {
		delete(h.channels, c.name)
	}
}

// Serve makes the client of r a subscriber: 200, text/event-stream, a random
// retry:, what it missed since q.LastEventID, the snapshot, and then whatever
// is published. Headers that the caller has set on w are sent, too; those of
// the stream itself (Content-Type, X-Accel-Buffering) are ours, and
// Cache-Control, unless it is set.
//
// It returns ErrNoChannel before a byte is written, and nil otherwise: at
// once, if the connection could be taken from net/http, else when the stream
// has ended. The caller must write nothing after it.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, q Request) error {
	h.mu.RLock()
	c := h.channels[q.Channel]
	h.mu.RUnlock()
	if c == nil {
		return ErrNoChannel
	}
	if !h.enter() {
		h.refuse(w, q, "draining")
		return nil
	}
	defer h.serving.Done()
	if r.Method == http.MethodHead {
		setHeaders(w.Header())
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if isClosed(h.draining) {
		h.refused(q, "draining")
		h.park(w, r, q)
		return nil
	}
	t, refusal := h.limits.admit(q)
	if refusal != "" {
		h.refused(q, refusal)
		h.park(w, r, q)
		return nil
	}
	d, ok := c.subscribe(q.LastEventID, time.Now())
	if !ok {
		h.limits.release(t)
		return ErrNoChannel
	}
	h.metrics.joined(d.told)
	d.rest = appendRetry(nil, between(h.cfg.RetryMin, h.cfg.RetryMax))

	cn := h.take(w, r)
	if cn != nil && h.engine.subscribe(cn, w, r, c, t, d) {
		return nil
	}
	defer h.limits.release(t)
	defer c.unsubscribe()
	h.metrics.portable.Inc()
	defer h.metrics.portable.Dec()
	c.stream(h.output(cn, w, r), d)
	return nil
}

// Park answers with 200 and a long random retry:, sends nothing more, and
// ends the answer after a random time. Any other answer stops a browser's
// EventSource for good or brings it back at once. Beyond Config.MaxParked,
// the connection is closed without a byte.
func (h *Hub) Park(w http.ResponseWriter, r *http.Request, q Request) {
	if !h.enter() {
		h.refuse(w, q, "draining")
		return
	}
	defer h.serving.Done()
	h.park(w, r, q)
}

func (h *Hub) park(w http.ResponseWriter, r *http.Request, q Request) {
	if n := h.parked.Add(1); n > int64(max(h.cfg.MaxParked, 0)) {
		h.parked.Add(-1)
		h.refuse(w, q, "parked")
		return
	}
	h.metrics.parked.Inc()
	stay := between(h.cfg.ParkMin, h.cfg.ParkMax)
	retry := appendRetry(nil, between(h.cfg.ParkMin, h.cfg.ParkMax))
	cn := h.take(w, r)
	if cn != nil && h.engine.park(cn, w, r, retry, stay) {
		return
	}
	defer h.unpark()
	out := h.output(cn, w, r)
	defer out.close()
	if out.write(retry) != nil {
		return
	}
	t := time.NewTimer(stay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-out.gone():
	case <-h.last:
	case <-h.ended:
	}
}

func (h *Hub) unpark() {
	h.parked.Add(-1)
	h.metrics.parked.Dec()
}

// refused counts somebody who is not served, and tells of it.
func (h *Hub) refused(q Request, reason string) {
	h.metrics.refusals.WithLabelValues(reason).Inc()
	if h.cfg.Refused != nil {
		h.cfg.Refused(q, reason)
	}
}

// refuse ends the connection without an answer: the deadline makes every
// write fail, ours and net/http's own.
func (h *Hub) refuse(w http.ResponseWriter, q Request, reason string) {
	h.refused(q, reason)
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetWriteDeadline(longAgo)
}

// enter counts a handler in, unless the hub has ended, and sees to it that
// the clock and the epoll loops run.
func (h *Hub) enter() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if isClosed(h.ended) {
		return false
	}
	h.serving.Add(1)
	h.start.Do(func() {
		if !h.cfg.Portable {
			var err error
			if h.engine, err = newEngine(h); err != nil {
				h.cfg.Logger.Warn("epoll is not available: every subscriber costs a goroutine and its buffers", "error", err)
			}
		}
		h.serving.Go(h.clock)
	})
	return true
}

// clock drives what depends on time.
func (h *Hub) clock() {
	t := time.NewTicker(h.tick)
	defer t.Stop()
	expire := time.Now()
	for {
		select {
		case <-h.ended:
			return
		case now := <-t.C:
			if h.engine != nil {
				h.engine.tick()
			}
			if now.Sub(expire) > 10*h.tick {
				expire = now
				h.mu.RLock()
				channels := make([]*Channel, 0, len(h.channels))
				for _, c := range h.channels {
					channels = append(channels, c)
				}
				h.mu.RUnlock()
				for _, c := range channels {
					c.expire(now)
				}
			}
		}
	}
}

// Drain ends every stream, spread evenly over the given time, each with a new
// random retry: before it. Whoever comes meanwhile is parked until the end.
// Subscribers that cannot be told in time, because their clients do not read,
// are waited for a second longer.
// When ctx is done, the rest ends at once and its error is returned. A hub
// that has been drained serves nobody any more.
func (h *Hub) Drain(ctx context.Context, over time.Duration) error {
	h.mu.Lock()
	if !isClosed(h.draining) {
		h.over = over
		close(h.draining)
	}
	h.start.Do(func() {}) // nothing starts from here on
	h.mu.Unlock()

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
			h.mu.Lock()
			shut(h.last)
			h.mu.Unlock()
			done = gone || since > over+lastCall
		}
	}

	h.mu.Lock()
	shut(h.ended)
	h.mu.Unlock()
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

// lastCall is how long whoever is late at the end of a drain may take to say
// when to come back: only those whose client does not read take longer.
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
