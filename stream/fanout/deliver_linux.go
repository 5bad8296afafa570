package fanout

import (
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// spanBytes bounds what is written to a socket in one call: no more than its
// buffer takes, or readers would look slow that are not, when it is the shard
// that is behind.
const spanBytes = sendBuffer

// A span is what a channel has published from one batch on, ready to be
// written in one call.
type span struct {
	from, end uint64
	holes     int
	pieces    []piece
	data      []byte
	frames    int
}

// gather makes the span that begins at from of the shard's batches.
func (s *shard) gather(sp *span, from uint64) {
	sp.from, sp.pieces, sp.data, sp.frames = from, s.pieces[:0], nil, 0
	for _, b := range s.batches {
		if b.number >= from {
			sp.pieces = append(sp.pieces, b.piece(false))
			sp.frames += b.frames
		}
	}
	s.pieces = sp.pieces
	if len(sp.pieces) == 1 {
		sp.data = sp.pieces[0].data
		return
	}
	s.buffer = s.buffer[:0]
	for _, p := range sp.pieces {
		s.buffer = append(s.buffer, p.data...)
	}
	sp.data = s.buffer
}

// fanOut writes what is new on a channel to those of its subscribers that are
// here: in one call for each, however far behind the shard is, as far as a
// socket can take it. What is left comes in the next turn.
func (s *shard) fanOut(l *lane) {
	l.queued.Store(false) // first: what is published from here on queues it again
	if len(l.members) == 0 {
		return // those on their way are brought up to date when they arrive
	}
	c := l.channel
	c.mu.Lock()
	sp := span{holes: c.ring.holes}
	s.batches, sp.end = c.ring.from(l.done, spanBytes, s.batches[:0])
	first, closed := c.ring.first, c.closed
	if sp.end < c.ring.end() {
		closed = false // not yet: there is more
		l.notify()
	}
	c.mu.Unlock()

	if sp.end > l.done {
		var oldest time.Time
		if len(s.batches) > 0 {
			oldest = s.batches[0].at
		}
		s.gather(&sp, l.done)
		skipped := 0
		for k := len(l.members) - 1; k >= 0; k-- { // backwards, as close moves the last
			i := l.members[k]
			u := s.subs.at(i)
			switch {
			case u.stall:
				skipped++
			case u.cursor >= sp.end:
			case u.cursor < first: // the ring is shorter than this shard is behind
				s.owe(i, u, &debt{place: place{next: u.cursor}, holes: sp.holes})
				s.pay(i, u)
			default:
				if u.cursor != sp.from {
					s.gather(&sp, u.cursor)
				}
				s.write(i, u, &sp)
			}
			if k%64 == 0 {
				// The scheduler would let us go on for 10 ms while a
				// publisher or a new subscriber waits for this processor.
				runtime.Gosched()
			}
		}
		l.done = sp.end
		s.hub.metrics.skips.Add(float64(skipped))
		if !oldest.IsZero() {
			s.hub.metrics.fanout.Observe(time.Since(oldest).Seconds())
		}
		clear(s.batches)
		clear(s.pieces)
		if cap(s.buffer) > 1<<20 {
			s.buffer = nil
		}
	}
	if closed {
		for len(l.members) > 0 {
			i := l.members[len(l.members)-1]
			s.close(i, s.subs.at(i))
		}
	}
}

// write sends a span to a sub that is not stalled.
func (s *shard) write(i int32, u *sub, sp *span) {
	if len(sp.data) == 0 { // nothing but history
		u.cursor = sp.end
		return
	}
	n, errno := send(int(u.fd), sp.data)
	s.bytes += n
	s.calls++
	switch {
	case n == len(sp.data):
		s.frames += sp.frames
		u.cursor = sp.end
	case errno == 0 || errno == unix.EAGAIN:
		d := &debt{place: place{next: sp.end}, holes: sp.holes}
		_, frames := d.pay(sp.pieces, n)
		s.frames += frames
		s.owe(i, u, d)
	default:
		s.close(i, u)
	}
}

// owe notes that a sub's socket is full.
func (s *shard) owe(i int32, u *sub, d *debt) {
	d.since = time.Now()
	s.debts[i] = d
	if !u.stall {
		u.stall = true
		_ = s.watch(unix.EPOLL_CTL_MOD, i, u) // fails only for descriptors that are not there
	}
}

// pay writes to a stalled sub what it is owed, as far as its socket takes it.
func (s *shard) pay(i int32, u *sub) {
	d := s.debts[i]
	c := u.lane.channel
	now := time.Now()
	c.mu.Lock()
	pieces := c.settle(d, now)
	closed := c.closed
	c.mu.Unlock()
	n, errno := sendAll(int(u.fd), pieces)
	if errno != 0 && errno != unix.EAGAIN {
		s.close(i, u)
		return
	}
	whole, frames := d.pay(pieces, n)
	s.frames += frames
	s.bytes += n
	s.calls++
	if n > 0 {
		d.since = now
	}
	if !whole {
		return // there will be another event
	}
	u.cursor = d.next
	if d.lagged {
		s.hub.metrics.resumes.Inc()
	}
	delete(s.debts, i)
	u.stall = false
	_ = s.watch(unix.EPOLL_CTL_MOD, i, u)
	if closed {
		s.close(i, u)
	}
}

// flush brings one sub up to date outside of its lane's turn, and reports
// whether it is.
func (s *shard) flush(i int32, u *sub) bool {
	if u.stall {
		return false
	}
	c := u.lane.channel
	c.mu.Lock()
	sp := span{end: c.ring.end(), holes: c.ring.holes}
	first, closed := c.ring.first, c.closed
	behind := u.cursor < sp.end
	if behind {
		s.batches, sp.end = c.ring.from(u.cursor, math.MaxInt, s.batches[:0])
	}
	c.mu.Unlock()
	if behind {
		if u.cursor < first {
			s.owe(i, u, &debt{place: place{next: u.cursor}, holes: sp.holes})
			s.pay(i, u)
		} else {
			s.gather(&sp, u.cursor)
			s.write(i, u, &sp)
		}
		clear(s.batches)
		clear(s.pieces)
	}
	if u.fd >= 0 && closed && !u.stall {
		s.close(i, u)
	}
	return u.fd >= 0 && !u.stall
}

// ping pings the subs of one slot. Their numbers spread them evenly: the
// wheel takes no memory.
func (s *shard) ping(slot, slots int32) {
	now := time.Now()
	for i := slot; i < s.subs.end(); i += slots {
		u := s.subs.at(i)
		if u == nil || u.lane == nil || !s.flush(i, u) {
			continue
		}
		c := u.lane.channel
		c.mu.Lock()
		sp := span{end: c.ring.end(), holes: c.ring.holes, data: c.pingFrame(now), frames: 1}
		c.mu.Unlock()
		if sp.end != u.cursor {
			continue // something came in between: that says as much as a ping
		}
		whole := place{next: sp.end}
		sp.pieces = append(s.pieces[:0], piece{data: sp.data, frames: 1, before: whole, begun: whole})
		s.write(i, u, &sp)
		s.pieces = sp.pieces
	}
}

// expire closes those that have been stuck, or parked, for long enough.
func (s *shard) expire(now time.Time) {
	for i, d := range s.debts {
		if now.Sub(d.since) >= s.hub.cfg.Stuck {
			s.evict(i, s.subs.at(i), "stuck")
		}
	}
	for i, until := range s.parked {
		if !now.Before(until) {
			s.close(i, s.subs.at(i))
		}
	}
	// A Go map never shrinks by itself.
	if len(s.debts) == 0 {
		s.debts = make(map[int32]*debt)
	}
	if len(s.parked) == 0 {
		s.parked = make(map[int32]time.Time)
	}
}

// drainTo closes subscribers until so many millionths of those that there
// were at first have gone.
func (s *shard) drainTo(millionths int) {
	d := &s.drain
	if d.at == 0 {
		d.had = s.subs.n
	}
	d.at = millionths
	for ; d.left < d.had*millionths/1e6 && d.next < s.subs.end(); d.next++ {
		if u := s.subs.at(d.next); u != nil && u.lane != nil {
			s.farewell(d.next, u)
			d.left++
		}
	}
}

// farewell closes a sub, and tells it when to come back.
func (s *shard) farewell(i int32, u *sub) {
	if u.lane != nil && !u.stall {
		n, _ := send(int(u.fd), appendRetry(nil, between(s.hub.cfg.RetryMin, s.hub.cfg.RetryMax)))
		s.bytes += n
		s.calls++
	}
	s.close(i, u)
}
