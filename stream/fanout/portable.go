package fanout

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// An output is where a portable subscriber writes. Its methods are called by
// one goroutine.
type output interface {
	// write sends everything and waits until it is sent. It fails when not a
	// single byte could be sent for Config.Stuck.
	write(frames ...[]byte) error
	// gone is closed when the client has hung up, as far as that shows.
	gone() <-chan struct{}
	// interrupt makes a write under way fail. Unlike the others it may be
	// called by anybody, before close has returned.
	interrupt()
	close()
}

// outputs are those of the portable subscribers, to be interrupted.
type outputs struct {
	mu  sync.Mutex
	all map[output]struct{}
}

func (o *outputs) add(out output) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = make(map[output]struct{})
	}
	o.all[out] = struct{}{}
}

func (o *outputs) remove(out output) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, out)
}

func (o *outputs) interrupt() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for out := range o.all {
		out.interrupt()
	}
}

// deadline allows a write Config.Stuck from now, unless the hub has ended:
// either the writer sees that here, or interrupt comes after this deadline
// and replaces it.
func (h *Hub) deadline(set func(time.Time) error) error {
	_ = set(time.Now().Add(h.cfg.Stuck)) // not all writers have deadlines
	if isClosed(h.ended) {
		return errEnded
	}
	return nil
}

var (
	errEnded = errors.New("fanout: the hub has been drained")
	longAgo  = time.Unix(1, 0)
)

func setHeaders(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache, no-store, no-transform")
	}
	h.Set("X-Accel-Buffering", "no")
	h.Del("Content-Length")
}

// output begins the answer, on the connection if it has been taken from
// net/http already, else on w.
func (h *Hub) output(cn net.Conn, w http.ResponseWriter, r *http.Request) output {
	setHeaders(w.Header())
	if cn != nil {
		o := newConnOutput(h, cn, head(w.Header()))
		h.outputs.add(o)
		return o
	}
	o := &httpOutput{w: w, r: r, rc: http.NewResponseController(w), hub: h}
	// The server's ReadTimeout is for requests; it would end the stream.
	_ = o.rc.SetReadDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	h.outputs.add(o)
	return o
}

// A gulp is how much must be taken within Config.Stuck.
const gulp = 16 << 10

type httpOutput struct {
	w   http.ResponseWriter
	r   *http.Request
	rc  *http.ResponseController
	hub *Hub
}

func (o *httpOutput) gone() <-chan struct{} { return o.r.Context().Done() }

func (o *httpOutput) interrupt() { _ = o.rc.SetWriteDeadline(longAgo) }

func (o *httpOutput) close() { o.hub.outputs.remove(o) }

func (o *httpOutput) write(frames ...[]byte) error {
	unflushed := 0
	for _, f := range frames {
		for len(f) > 0 {
			n := min(len(f), gulp-unflushed)
			if unflushed == 0 {
				if err := o.hub.deadline(o.rc.SetWriteDeadline); err != nil {
					return err
				}
			}
			if _, err := o.w.Write(f[:n]); err != nil {
				return err
			}
			f = f[n:]
			if unflushed += n; unflushed == gulp {
				if err := o.rc.Flush(); err != nil {
					return err
				}
				unflushed = 0
			}
		}
	}
	if unflushed > 0 {
		if err := o.rc.Flush(); err != nil {
			return err
		}
	}
	// On HTTP/2 a deadline that passes ends the stream, even an idle one.
	_ = o.rc.SetWriteDeadline(time.Time{})
	return nil
}

// lag is how much may be pending for a portable subscriber, in bytes, before
// it counts as lagging: what the socket buffer of a raw one holds.
const lag = 64 << 10

// stream serves a portable subscriber until it or the channel ends.
func (c *Channel) stream(out output, d *debt) {
	defer out.close()
	h := c.hub
	ping := time.NewTimer(between(0, h.cfg.Ping))
	defer ping.Stop()
	pinging := false
	draining := h.draining
	var leave <-chan time.Time
	var frames [][]byte
	for begun := false; ; begun = true {
		now := time.Now()
		c.mu.Lock()
		var pieces []piece
		if begun {
			pieces = c.pending(d, now)
		} else {
			pieces = c.settle(d, now)
		}
		if d.lagged {
			h.metrics.resumes.Inc()
		}
		d.caughtUp(&c.ring)
		for _, p := range pieces {
			frames = append(frames, p.data)
		}
		if pinging {
			frames = append(frames, c.pingFrame(now))
		}
		wake, closed := c.woken(), c.closed
		c.mu.Unlock()

		if !c.deliver(out, pieces, pinging, frames) || closed {
			return
		}
		clear(frames)
		frames, pinging = frames[:0], false

		select {
		case <-wake:
		case <-ping.C:
			ping.Reset(h.cfg.Ping)
			pinging = true
		case <-out.gone():
			return
		case <-draining:
			draining = nil
			leave = time.After(between(0, h.over))
		case <-leave:
			c.sayGoodbye(out)
			return
		case <-h.last:
			c.sayGoodbye(out)
			return
		case <-h.ended:
			return
		}
	}
}

// sayGoodbye tells the client when to come back.
func (c *Channel) sayGoodbye(out output) {
	cfg := &c.hub.cfg
	_ = out.write(appendRetry(nil, between(cfg.RetryMin, cfg.RetryMax)))
}

// deliver writes frames, counts them, and reports whether that worked.
func (c *Channel) deliver(out output, pieces []piece, pinging bool, frames [][]byte) bool {
	if len(frames) == 0 {
		return true
	}
	m := c.hub.metrics
	begun := time.Now()
	if err := out.write(frames...); err != nil {
		if time.Since(begun) >= c.hub.cfg.Stuck {
			m.evictions.WithLabelValues("stuck").Inc()
		}
		return false
	}
	events, bytes := 0, 0
	for _, p := range pieces {
		events += p.frames
	}
	if pinging {
		events++
	}
	for _, f := range frames {
		bytes += len(f)
	}
	m.sent(events, bytes, 1)
	return true
}
