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
	write(parts ...[]byte) error
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

// output begins the answer, on the connection if it has been taken from
// net/http already, else on w.
func (h *Hub) output(cn net.Conn, w http.ResponseWriter, r *http.Request) output {
	if cn != nil {
		o := newConnOutput(h, cn, head(w.Header()))
		h.outputs.add(o)
		return o
	}
	o := &httpOutput{w: w, r: r, rc: http.NewResponseController(w), hub: h}
	// The server's ReadTimeout is for requests; it would end the stream.
	_ = o.rc.SetReadDeadline(time.Time{})
	begin(w)
	h.outputs.add(o)
	return o
}

type httpOutput struct {
	w   http.ResponseWriter
	r   *http.Request
	rc  *http.ResponseController
	hub *Hub
}

func (o *httpOutput) gone() <-chan struct{} { return o.r.Context().Done() }

func (o *httpOutput) interrupt() { _ = o.rc.SetWriteDeadline(longAgo) }

func (o *httpOutput) close() { o.hub.outputs.remove(o) }

func (o *httpOutput) write(parts ...[]byte) error {
	unflushed := 0
	for _, f := range parts {
		for len(f) > 0 {
			n := min(len(f), enough-unflushed)
			if unflushed == 0 {
				if err := o.hub.deadline(o.rc.SetWriteDeadline); err != nil {
					return err
				}
			}
			if _, err := o.w.Write(f[:n]); err != nil {
				return err
			}
			f = f[n:]
			if unflushed += n; unflushed == enough {
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
func (c *Channel) stream(out output, u *catchUp) {
	defer out.close()
	h := c.hub
	ping := time.NewTimer(between(0, h.cfg.Ping))
	defer ping.Stop()
	pinging := false
	draining := h.draining
	var leave <-chan time.Time
	for {
		pieces, wake, closed := c.pending(u, pinging)
		pinging = false
		if !c.deliver(out, pieces) || closed {
			return
		}
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
			_ = out.write(h.cfg.retry())
			return
		case <-h.last:
			_ = out.write(h.cfg.retry())
			return
		case <-h.ended:
			return
		}
	}
}

// pending is what a portable subscriber is to be sent now, which it then has:
// the batches since the last time, or, if that is more than a reader that
// keeps up can have pending, what brings it up to date.
func (c *Channel) pending(u *catchUp, pinging bool) (pieces []piece, wake <-chan struct{}, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if recent, ok := c.recent(u); ok {
		pieces = recent
	} else {
		pieces = c.plan(u, now)
		if u.lagged {
			c.hub.metrics.resumes.Inc()
		}
	}
	*u = catchUp{step: step{place: c.end()}}
	if pinging {
		pieces = append(pieces, piece{parts: [][]byte{c.pingFrame(now)}, frames: 1})
	}
	return pieces, c.woken(), c.closed
}

// recent lists the batches that a subscriber lacks, unless it needs more than
// those. The caller holds mu.
func (c *Channel) recent(u *catchUp) (pieces []piece, ok bool) {
	q := &c.queue
	if u.owed || u.cursor < q.first {
		return nil, false
	}
	bytes := 0
	for _, b := range q.batches[u.cursor-q.first:] {
		pieces = append(pieces, b.piece())
		bytes += len(b.parts[0])
	}
	return pieces, bytes <= lag || len(pieces) == 1
}

// deliver writes pieces, counts them, and reports whether that worked.
func (c *Channel) deliver(out output, pieces []piece) bool {
	if len(pieces) == 0 {
		return true
	}
	var parts [][]byte
	events, bytes := 0, 0
	for _, p := range pieces {
		events += p.frames
		for _, part := range p.parts {
			bytes += len(part)
			parts = append(parts, part)
		}
	}
	m := c.hub.metrics
	begun := time.Now()
	if err := out.write(parts...); err != nil {
		if time.Since(begun) >= c.hub.cfg.Stuck {
			m.evictions.WithLabelValues("stuck").Inc()
		}
		return false
	}
	m.sent(events, bytes, 1)
	return true
}
