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
	from, end place
	pieces    []piece
	data      []byte
	frames    int
}

// gather makes the span that begins at a batch of the shard's batches.
func (s *shard) gather(sp *span, from uint64) {
	sp.from.cursor, sp.pieces, sp.data, sp.frames = from, s.pieces[:0], nil, 0
	for _, b := range s.batches {
		if b.number >= from {
			sp.pieces = append(sp.pieces, b.piece())
			sp.frames += b.frames
		}
	}
	s.pieces = sp.pieces
	if len(sp.pieces) == 1 {
		sp.data = sp.pieces[0].parts[0]
		return
	}
	s.buffer = s.buffer[:0]
	for _, p := range sp.pieces {
		s.buffer = append(s.buffer, p.parts[0]...)
	}
	sp.data = s.buffer
}

// look lists what a channel has published from a number on, as far as so many
// bytes go. The list is the shard's batches.
func (s *shard) look(c *Channel, from uint64, bytes int) (end place, first uint64, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.batches, end.cursor = c.queue.from(from, bytes, s.batches[:0])
	end.next = c.passed
	if more := end.cursor < c.queue.end(); more {
		end.next = s.batches[len(s.batches)-1].next
		c.lanes[s.index].notify()
		return end, c.queue.first, false
	}
	return end, c.queue.first, c.closed
}

// fanOut writes what is new on a channel to those of its subscribers that are
// here: in one call for each, however far behind the shard is, as far as a
// socket can take it. What is left comes in the next turn.
func (s *shard) fanOut(l *lane) {
	l.queued.Store(false) // first: what is published from here on queues it again
	if len(l.members) == 0 {
		return // those on their way are brought up to date when they arrive
	}
	end, first, closed := s.look(l.channel, l.done, spanBytes)
	if end.cursor > l.done {
		sp := span{end: end}
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
			case u.cursor >= end.cursor:
			case u.cursor < first: // the queue is shorter than this shard is behind
				s.fallBehind(i, u, &catchUp{step: step{place: u.place}})
				s.resume(i, u)
			default:
				if u.cursor != sp.from.cursor {
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
		l.done = end.cursor
		s.hub.metrics.skips.Add(float64(skipped))
		if !oldest.IsZero() {
			s.hub.metrics.fanout.Observe(time.Since(oldest).Seconds())
		}
		s.release()
	}
	if closed {
		for len(l.members) > 0 {
			i := l.members[len(l.members)-1]
			s.close(i, s.subs.at(i))
		}
	}
}

// release lets go of what has been written.
func (s *shard) release() {
	clear(s.batches)
	clear(s.pieces)
	if cap(s.buffer) > 1<<20 {
		s.buffer = nil
	}
}

// write sends a span to a sub that is not stalled.
func (s *shard) write(i int32, u *sub, sp *span) {
	n, errno := send(int(u.fd), sp.data)
	s.bytes += n
	s.calls++
	switch {
	case n == len(sp.data):
		s.frames += sp.frames
		u.place = sp.end
	case errno == 0 || errno == unix.EAGAIN:
		d := &catchUp{step: step{place: u.place}}
		_, frames := d.wrote(sp.pieces, n, time.Time{})
		s.frames += frames
		s.fallBehind(i, u, d)
	default:
		s.close(i, u)
	}
}

// fallBehind notes that a sub's socket is full.
func (s *shard) fallBehind(i int32, u *sub, d *catchUp) {
	d.since, d.taken = time.Now(), 0
	s.behind[i] = d
	if !u.stall {
		u.stall = true
		_ = s.watch(unix.EPOLL_CTL_MOD, i, u) // fails only for descriptors that are not there
	}
}

// resume writes to a stalled sub what it needs, as far as its socket takes it.
func (s *shard) resume(i int32, u *sub) {
	d := s.behind[i]
	now := time.Now()
	pieces, closed := u.lane.channel.planned(d, now)
	n, errno := sendAll(int(u.fd), pieces)
	if errno != 0 && errno != unix.EAGAIN {
		s.close(i, u)
		return
	}
	whole, frames := d.wrote(pieces, n, now)
	s.frames += frames
	s.bytes += n
	s.calls++
	if !whole {
		return // there will be another event
	}
	u.place = d.place
	if d.lagged {
		s.hub.metrics.resumes.Inc()
	}
	delete(s.behind, i)
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
	end, first, closed := s.look(u.lane.channel, u.cursor, math.MaxInt)
	switch {
	case u.cursor >= end.cursor:
	case u.cursor < first:
		s.fallBehind(i, u, &catchUp{step: step{place: u.place}})
		s.resume(i, u)
	default:
		sp := span{end: end}
		s.gather(&sp, u.cursor)
		s.write(i, u, &sp)
	}
	s.release()
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
		frame, end := u.lane.channel.pinged(now)
		if end.cursor != u.cursor {
			continue // something came in between: that says as much as a ping
		}
		s.frame[0] = frame
		s.pieces = append(s.pieces[:0], piece{parts: s.frame[:], frames: 1, begun: step{place: end}})
		s.write(i, u, &span{end: end, pieces: s.pieces, data: frame, frames: 1})
	}
}

// pinged is the ping frame, and where those stand that it is for.
func (c *Channel) pinged(now time.Time) ([]byte, place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pingFrame(now), c.end()
}

// expire closes those that have been stuck, or parked, for long enough.
func (s *shard) expire(now time.Time) {
	for i, d := range s.behind {
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
	if len(s.behind) == 0 {
		s.behind = make(map[int32]*catchUp)
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
	for leave := share(d.had, millionths); d.left < leave && d.next < s.subs.end(); d.next++ {
		if u := s.subs.at(d.next); u != nil && u.lane != nil {
			s.farewell(d.next, u)
			d.left++
		}
	}
}

// share is so many millionths of n, on any word size.
func share(n, millionths int) int { return int(int64(n) * int64(millionths) / 1e6) }

// farewell closes a sub, and tells it when to come back.
func (s *shard) farewell(i int32, u *sub) {
	if u.lane != nil && !u.stall {
		n, _ := send(int(u.fd), s.hub.cfg.retry())
		s.bytes += n
		s.calls++
	}
	s.close(i, u)
}
