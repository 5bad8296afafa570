package fanout

import (
	"time"

	"statustail/stream/change"
)

// A place is where a subscriber stands in its channel.
type place struct {
	cursor uint64 // the number of the first batch that it does not reflect
	next   uint64 // the number of the topic's first message not given
}

// A step is where a subscriber stands that is not up to date.
type step struct {
	place
	owed bool // a snapshot comes before anything else
	told bool // it has had one since it fell behind
}

// A catchUp is what a subscriber still needs that is not up to date: a new
// one, and one whose socket was full. Both are the same case: what is left of
// the frame under way, the snapshot, the messages that it missed.
type catchUp struct {
	step
	rest     [][]byte
	recovery change.Recovery // what the next snapshot says
	id       change.EventID  // the next snapshot's, if it is the first
	lagged   bool            // it was up to date before

	since time.Time // when the socket had last taken enough
	taken int       // bytes since then
}

// enough is how many bytes a subscriber must take within Config.Stuck, as long
// as it is owed that many.
const enough = 64 << 10

// A piece is something to write in whole, and where its reader stands once it
// is begun.
type piece struct {
	parts  [][]byte
	frames int
	begun  step
	rest   bool // the end of something begun before: it must be kept
}

// join is what a new subscriber needs that has everything up to an id, or is
// fresh if there is none. The caller holds mu.
func (c *Channel) join(id change.EventID, r change.Recovery, now time.Time) *catchUp {
	u := &catchUp{step: step{place: c.end(), owed: true}, recovery: r, since: now}
	s := c.hub.store
	switch r {
	case change.Recovered:
		u.next, u.recovery = s.resume(c.topic, id)
		u.next = min(u.next, c.passed)
		if u.id = id; u.recovery == change.Unrecovered {
			u.id = s.idAt(c.topic, u.next)
		}
	default:
		u.id = s.idAt(c.topic, u.next)
	}
	return u
}

// plan returns the pieces that bring the subscriber up to date. wrote notes
// how many bytes of them were written. The caller holds mu.
func (c *Channel) plan(u *catchUp, now time.Time) []piece {
	var pieces []piece
	if len(u.rest) > 0 {
		pieces = append(pieces, piece{parts: u.rest, begun: u.step, rest: true})
	}
	at, end, s := u.step, c.end(), c.hub.store
	switch {
	case at.owed && u.recovery == change.Fresh:
		at.place = end // its snapshot is its beginning
		u.id = s.idAt(c.topic, at.next)
	case !at.owed && !at.told:
		if at.place == end {
			return pieces
		}
		at.owed, u.recovery, u.lagged = true, change.Recovered, true
		u.id = s.idAt(c.topic, at.next)
	}
	var list []*message
	dropped := 0
	if c.carries {
		var complete bool
		list, dropped, complete = s.missed(c.topic, at.next, end.next)
		if !complete && (!at.owed || u.recovery == change.Recovered) {
			at.owed, u.recovery = true, change.Unrecovered
			u.id = s.idAt(c.topic, at.next)
		}
	}
	if at.owed {
		at = step{place: place{cursor: end.cursor, next: at.next}, told: true}
		pieces = append(pieces, c.snapshot(u.id, u.recovery, now, at))
	}
	if dropped > 0 {
		at.next = list[0].number
		frame := append(appendID(nil, list[0].before()), c.src.Dropped(dropped)...)
		pieces = append(pieces, piece{parts: [][]byte{frame}, frames: 1, begun: at})
	}
	for _, m := range list {
		at.next = m.number + 1
		pieces = append(pieces, piece{parts: m.parts[:], frames: 1, begun: at})
	}
	if at.cursor < c.shown {
		pieces = append(pieces, c.snapshot(s.idAt(c.topic, end.next), change.Recovered, now, at))
	}
	if n := len(pieces); n > 0 {
		pieces[n-1].begun.place = end
	} else {
		u.place = end
	}
	return pieces
}

// snapshot is the snapshot with an id.
func (c *Channel) snapshot(id change.EventID, r change.Recovery, now time.Time, begun step) piece {
	shown := c.src.Snapshot(now, r)
	parts := append(make([][]byte, 0, len(shown)+1), appendID(nil, id))
	return piece{parts: append(parts, shown...), frames: 1, begun: begun}
}

// wrote notes that n bytes of the plan were written, and reports whether that
// was everything, and how many events it began. A piece that is not begun is
// not kept: by the time that it can be written there may be something newer.
func (u *catchUp) wrote(pieces []piece, n int, now time.Time) (whole bool, frames int) {
	if u.taken += n; u.taken >= enough {
		u.since, u.taken = now, 0
	}
	u.rest = nil
	for _, p := range pieces {
		if n == 0 && !p.rest {
			return false, frames
		}
		u.step = p.begun
		frames += p.frames
		if u.rest, n = cut(p.parts, n); u.rest != nil {
			return false, frames
		}
	}
	return true, frames
}

// cut is what is left of parts after n bytes of them, nil if nothing is, and
// how many bytes lie beyond.
func cut(parts [][]byte, n int) (rest [][]byte, beyond int) {
	for i, p := range parts {
		if n < len(p) {
			return append([][]byte{p[n:]}, parts[i+1:]...), 0
		}
		n -= len(p)
	}
	return nil, n
}
