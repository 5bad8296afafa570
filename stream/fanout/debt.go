package fanout

import (
	"time"

	"statustail/stream/change"
)

// recovery is what a snapshot says about what came before it.
type recovery uint8

const (
	fresh       recovery = iota // nothing: nothing came before
	recovered                   // all that was missed has been replayed
	unrecovered                 // something may be missing
)

func (r recovery) told() *bool {
	if r == fresh {
		return nil
	}
	v := r == recovered
	return &v
}

// futureTolerance is how far beyond the settled position a client's id may
// be: another server may have been that much ahead.
const futureTolerance = 10 // seconds

// A place is where a subscriber stands in its channel.
type place struct {
	next uint64 // the number of the first batch not yet given
	owed bool   // a snapshot must come, even if no batch does
}

// A debt is what a subscriber is owed that cannot be had from the ring by a
// number alone: at its beginning, and whenever its socket was full.
type debt struct {
	place
	rest   []byte // of the piece under way
	replay uint64 // batches below this number were there before the subscriber
	from   change.Position
	told   recovery
	holes  int       // the ring's, when the subscriber was last whole
	since  time.Time // when the socket last took something
	lagged bool      // it is being resumed
}

// A piece is something to write in whole, and where its reader stands before
// it is begun and once it is.
type piece struct {
	data          []byte
	frames        int
	before, begun place
	rest          bool // the end of something begun before: it must be kept
}

// join is the debt to a new subscriber that says it has everything up to
// lastID. The caller holds mu.
func (c *Channel) join(lastID string, now time.Time) *debt {
	r := &c.ring
	d := &debt{place: place{next: r.end(), owed: true}, holes: r.holes, since: now}
	if lastID == "" {
		return d
	}
	d.told = unrecovered
	from, err := change.ParsePosition(lastID)
	settled := c.src.Settled()
	if err != nil || from == 0 || settled == 0 || from < r.coverage {
		return d
	}
	if uint64(from.Seconds()) > uint64(settled.Seconds())+futureTolerance {
		return d
	}
	d.told, d.from, d.replay, d.next = recovered, from, d.next, r.first
	return d
}

// settle says what to write to pay the debt: the rest of what was begun, what
// the ring has of what was missed, and a snapshot, unless nothing was missed
// and none is owed. It moves the debt to the ring's end; pay takes back what
// could not be written. The caller holds mu.
func (c *Channel) settle(d *debt, now time.Time) []piece {
	r := &c.ring
	end := r.end()
	resume := !d.owed // it has had a snapshot
	if resume {
		d.told = recovered
	}
	if d.next < r.first || d.holes != r.holes {
		d.next, d.holes = end, r.holes
		if d.told != fresh {
			d.told, d.owed = unrecovered, true
		}
	}
	if d.owed && d.told == fresh {
		d.next = end // it has not begun: its snapshot is its beginning
	}
	var missed []*batch
	for _, b := range r.batches[d.next-r.first:] {
		if b.number < d.replay && b.upto >= d.from || b.number >= d.replay && b.live {
			missed = append(missed, b)
		}
	}
	missed = conflate(missed)

	pieces := make([]piece, 0, len(missed)+2)
	if len(d.rest) > 0 {
		pieces = append(pieces, piece{data: d.rest, begun: d.place, rest: true})
	}
	if len(missed) > 0 || d.owed {
		d.lagged = d.lagged || resume
		for _, b := range missed {
			pieces = append(pieces, b.piece(true))
		}
		pieces = append(pieces, piece{
			data: c.snapshot(now, d.told), frames: 1,
			before: place{end, true}, begun: place{end, false},
		})
	}
	d.rest, d.place = nil, place{next: end}
	return pieces
}

// pay notes that n bytes of pieces were written, and reports whether that was
// everything, and how many events it completed. If something is left, the
// debt goes back to the first piece not begun: by the time that can be
// written there may be something newer.
func (d *debt) pay(pieces []piece, n int) (whole bool, frames int) {
	for _, p := range pieces {
		switch {
		case n >= len(p.data):
			n -= len(p.data)
			frames += p.frames
			continue
		case n > 0 || p.rest:
			d.rest, d.place = p.data[n:], p.begun
		default:
			d.rest, d.place = nil, p.before
		}
		return false, frames
	}
	return true, frames
}

// pending is what a subscriber that was whole is to be sent now: the batches
// since, or, if that is more than a reader that keeps up can have pending,
// what pays a debt. The caller holds mu.
func (c *Channel) pending(d *debt, now time.Time) []piece {
	r := &c.ring
	if d.next == r.end() {
		return nil
	}
	if d.next >= r.first {
		bytes := 0
		var pieces []piece
		for _, b := range r.batches[d.next-r.first:] {
			if b.live {
				pieces = append(pieces, b.piece(false))
				bytes += len(b.data)
			}
		}
		if bytes <= lag || len(pieces) == 1 {
			d.next = r.end()
			return pieces
		}
	}
	return c.settle(d, now)
}

// caughtUp notes that everything up to the ring's end is on its way.
func (d *debt) caughtUp(r *ring) {
	*d = debt{place: place{next: r.end()}, holes: r.holes}
}
