package fanout

import (
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sendBuffer bounds what the kernel holds for a reader that stalls, and
	// with it how late a stalled reader is noticed. Linux doubles it, for its
	// own bookkeeping.
	sendBuffer = 64 << 10

	// userTimeout is after how many milliseconds without an acknowledgement
	// a TCP peer counts as vanished. It is more than the usual interval of
	// pings, which are what it would have to acknowledge.
	userTimeout = 90_000
)

// An engine owns the descriptors of the raw subscribers, in shards.
type engine struct {
	hub    *Hub
	shards []*shard
	next   atomic.Uint32
}

func newEngine(h *Hub) (*engine, error) {
	e := &engine{hub: h}
	for i := range h.cfg.Shards {
		s, err := newShard(h, i)
		if err != nil {
			e.stop()
			return nil, err
		}
		e.shards = append(e.shards, s)
	}
	return e, nil
}

// take takes the connection of a plain HTTP/1 request from net/http, or
// returns nil where that cannot be or would be of no use.
func (h *Hub) take(w http.ResponseWriter, r *http.Request) net.Conn {
	if h.engine == nil || r.ProtoMajor != 1 || r.TLS != nil {
		return nil
	}
	// What the client may have sent after its request, in the buffers that
	// are returned, is noise like all that follows.
	cn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	return cn
}

// dup makes a descriptor of our own for the connection and closes the
// connection itself: its place in the runtime's poller, and its buffers.
func (e *engine) dup(cn net.Conn) (int, error) {
	sc, ok := cn.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("%T has no descriptor", cn)
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	if cerr := rc.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	}); cerr != nil {
		return -1, cerr
	}
	if err != nil {
		if err == unix.EMFILE || err == unix.ENFILE {
			e.hub.metrics.refusals.WithLabelValues("descriptors").Inc()
		}
		return -1, err
	}
	_ = cn.Close()
	// It is non-blocking already: that belongs to the connection, not to
	// the descriptor. None of the following is vital.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	if _, ok := cn.(*net.TCPConn); ok {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, userTimeout)
		// net/http's listener has it probe every 15 s: our pings do that.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
	return fd, nil
}

// An arrival is a descriptor on its way to its shard.
type arrival struct {
	fd     int
	lane   *lane // nil when parked
	ticket ticket
	place  place
	needs  *catchUp  // nil when it is up to date
	until  time.Time // when it stops being parked
}

func (e *engine) pick() *shard {
	return e.shards[int(e.next.Add(1))%len(e.shards)]
}

// subscribe hands the connection to a shard, after a first write, so that a
// shard that is busy does not keep anybody waiting for a first byte. It
// returns false, and has changed nothing, when the connection must be served
// in another way.
func (e *engine) subscribe(cn net.Conn, w http.ResponseWriter, c *Channel, t ticket, u *catchUp) bool {
	fd, err := e.dup(cn)
	if err != nil {
		return false
	}
	u.rest = append([][]byte{head(w.Header())}, u.rest...)
	s := e.pick()
	l := c.enter(s)
	pieces, _ := c.planned(u, u.since)
	a := arrival{fd: fd, lane: l, ticket: t}
	n, errno := sendAll(fd, pieces)
	whole, frames := u.wrote(pieces, n, u.since)
	e.hub.metrics.sent(frames, n, 1)
	if a.place = u.place; !whole {
		a.needs = u
	}
	if errno != 0 && errno != unix.EAGAIN || !s.receive(a) {
		_ = unix.Close(fd)
		l.leave()
		e.hub.limits.release(t)
		return true
	}
	e.hub.metrics.raw.Inc()
	return true
}

// park hands over a connection that gets nothing but its beginning. Like
// subscribe it returns false when it could not.
func (e *engine) park(cn net.Conn, w http.ResponseWriter, later []byte, stay time.Duration) bool {
	fd, err := e.dup(cn)
	if err != nil {
		return false
	}
	_, errno := send(fd, append(head(w.Header()), later...))
	if errno != 0 || !e.pick().receive(arrival{fd: fd, until: time.Now().Add(stay)}) {
		_ = unix.Close(fd)
		e.hub.unpark()
	}
	return true
}

func (e *engine) tick() {
	for _, s := range e.shards {
		s.ticks.Add(1)
		s.wake()
	}
}

// drain closes subscribers until the given fraction of those that were there
// at first have gone.
func (e *engine) drain(fraction float64) {
	for _, s := range e.shards {
		s.leaving.Store(int64(min(fraction, 1) * 1e6))
		s.wake()
	}
}

// stop closes everything and waits until that is done.
func (e *engine) stop() {
	for _, s := range e.shards {
		s.stopping.Store(true)
		s.wake()
	}
	for _, s := range e.shards {
		<-s.stopped
	}
}
