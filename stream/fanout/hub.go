package fanout

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"statustail/stream/change"
)

// A Request is what the hub must know of a subscriber.
type Request struct {
	Channel     *Channel
	Page        string // counted against Config.MaxPerPage
	Client      string // the client's address, counted against Config.MaxPerClient; empty: not known, not counted
	LastEventID string // empty on a fresh connection
}

// A Hub holds the messages of all pages, their channels, and the connections
// of those.
type Hub struct {
	cfg     Config
	tick    time.Duration
	metrics *metrics
	limits  *limits
	store   *store
	open    atomic.Int64 // channels
	parked  atomic.Int64
	outputs outputs

	// mu guards the transitions below. It is taken before any other lock.
	mu      sync.RWMutex
	over    time.Duration  // set before draining is closed
	serving sync.WaitGroup // handlers under way; not added to once ended

	// busy are the channels whose queues the clock looks after. busyMu is
	// taken after a channel's lock.
	busyMu sync.Mutex
	busy   []*Channel

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
		draining: make(chan struct{}),
		last:     make(chan struct{}),
		ended:    make(chan struct{}),
	}
	h.tick = h.cfg.tick()
	h.limits = newLimits(&h.cfg)
	h.store = newStore(h.cfg.ReplayBytes, h.cfg.Replay)
	h.metrics = newMetrics(cfg.Registerer,
		func() float64 { return float64(h.open.Load()) },
		func() float64 { return float64(h.store.size()) })
	return h
}

// Open makes a channel of a page that shows src, and, if it carries messages,
// those of the page. Every message from now on is passed on to it; every one
// before is replayed to those who ask for it.
func (h *Hub) Open(page string, src change.Source, carries bool) *Channel {
	c := &Channel{hub: h, src: src, carries: carries}
	h.store.open(page, c)
	h.open.Add(1)
	return c
}

// Begin begins, or begins anew, what Message passes on: everything from a
// position on. What came before is forgotten, and every subscriber is told.
func (h *Hub) Begin(from change.Position) {
	now := time.Now()
	for _, c := range h.store.restart(from) {
		c.restart(now)
	}
}

// Message keeps a message, encoded as frame without id: line, and publishes it
// on the channels of its page. A later message with the same page, name and
// key replaces it for readers that lag or return. It must not be called twice
// at the same time.
func (h *Hub) Message(m change.Message, frame []byte) {
	kept, channels := h.store.add(m, frame)
	for _, c := range channels {
		c.pass(kept)
	}
}

// Forget forgets the messages of a page up to a position, and all that have
// come: they are not for those who come to the page from now on.
func (h *Hub) Forget(page string, upTo change.Position) { h.store.forget(page, upTo) }

// Reached says that every message below or at a position has come, apart from
// others at exactly that position. It is what the ids of snapshots and pings
// are made of.
func (h *Hub) Reached(at change.Position) { h.store.reach(at, time.Now()) }

// catchUpWait is how long a reader waits for a tail that is behind its id.
const catchUpWait = time.Second

// Serve makes the client of r a subscriber: 200, text/event-stream, a random
// retry:, the snapshot, what it missed since q.LastEventID, and then whatever
// is published. Headers that the caller has set on w are sent, too; those of
// the stream itself (Content-Type, X-Accel-Buffering) are ours, and
// Cache-Control, unless it is set.
//
// It returns at once, if the connection could be taken from net/http, else
// when the stream has ended. The caller must write nothing after it. The
// stream of a closed channel ends at once.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, q Request) {
	if !h.enter() {
		h.refuse(w, q, "draining")
		return
	}
	defer h.serving.Done()
	if r.Method == http.MethodHead {
		begin(w)
		return
	}
	if isClosed(h.draining) {
		h.refused(q, "draining")
		h.park(w, r, q)
		return
	}
	t, refusal := h.limits.admit(q)
	if refusal != "" {
		h.refused(q, refusal)
		h.park(w, r, q)
		return
	}
	raw := false
	defer func() {
		if !raw {
			h.limits.release(t)
		}
	}()
	c := q.Channel
	u, ok := c.subscribe(h.resumed(r.Context(), q))
	if !ok {
		begin(w)
		_, _ = w.Write(h.cfg.retry())
		return
	}
	h.metrics.joined(u.recovery)
	u.rest = [][]byte{h.cfg.retry()}

	cn := h.take(w, r)
	if raw = cn != nil && h.engine.subscribe(cn, w, c, t, u); raw {
		return
	}
	defer c.unsubscribe()
	h.metrics.portable.Inc()
	defer h.metrics.portable.Dec()
	c.stream(h.output(cn, w, r), u)
}

// resumed reads the last event id of a request, and waits for a tail that is
// behind it.
func (h *Hub) resumed(ctx context.Context, q Request) (id change.EventID, r change.Recovery, now time.Time) {
	if q.LastEventID == "" {
		return id, change.Fresh, time.Now()
	}
	id, err := change.ParseEventID(q.LastEventID)
	if err != nil || id.At == 0 {
		return change.EventID{}, change.Unrecovered, time.Now()
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	h.store.await(q.Channel.topic, id, ctx.Done())
	return id, change.Recovered, time.Now()
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
	later := retry(h.cfg.ParkMin, h.cfg.ParkMax)
	cn := h.take(w, r)
	if cn != nil && h.engine.park(cn, w, later, stay) {
		return
	}
	defer h.unpark()
	out := h.output(cn, w, r)
	defer out.close()
	if out.write(later) != nil {
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
				h.expire(now)
			}
		}
	}
}

// look has the clock look after a channel's queue. The caller holds the
// channel's lock.
func (h *Hub) look(c *Channel) {
	h.busyMu.Lock()
	defer h.busyMu.Unlock()
	h.busy = append(h.busy, c)
}

// expire empties the queues of channels on which nothing happens.
func (h *Hub) expire(now time.Time) {
	for _, c := range h.lookedAfter() {
		if c.expire(now) {
			h.look(c)
		}
	}
}

func (h *Hub) lookedAfter() (busy []*Channel) {
	h.busyMu.Lock()
	defer h.busyMu.Unlock()
	busy, h.busy = h.busy, nil
	return busy
}
