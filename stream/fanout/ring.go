package fanout

import (
	"math"
	"time"

	"statustail/stream/change"
)

// always is the upto of a batch published without one: nobody can be said to
// have it already.
const always = change.Position(math.MaxUint64)

// A batch is what was published at once, encoded. It never changes: many
// subscribers may be in the middle of writing it.
type batch struct {
	number uint64
	data   []byte // whole frames, the last with the id
	frames int
	key    string
	upto   change.Position
	live   bool // sent to subscribers; otherwise only replayed
	at     time.Time
}

// piece is the batch on its way to a subscriber that is, or is not, owed a
// snapshot after it.
func (b *batch) piece(owed bool) piece {
	return piece{data: b.data, frames: b.frames, before: place{b.number, owed}, begun: place{b.number + 1, owed}}
}

// A ring is what a channel remembers. Batches are numbered without gaps from
// the channel's beginning; the oldest are forgotten.
type ring struct {
	batches  []*batch
	first    uint64 // the number of batches[0]
	bytes    int
	coverage change.Position // every batch with upto at or after it is here
	newest   change.Position // the newest id ever sent
	holes    int             // how often continuity was lost
}

// end is the number that the next batch will have.
func (r *ring) end() uint64 { return r.first + uint64(len(r.batches)) }

func (r *ring) add(b *batch) {
	b.number = r.end()
	r.batches = append(r.batches, b)
	r.bytes += len(b.data)
}

// trim forgets what is beyond the bounds.
func (r *ring) trim(c *Config, now time.Time) {
	n := 0
	for n < len(r.batches) {
		b := r.batches[n]
		if len(r.batches)-n <= c.RingBatches && r.bytes <= c.RingBytes && now.Sub(b.at) < c.RingAge {
			break
		}
		upto := b.upto
		if upto == always {
			upto = r.newest
		}
		// A resume from upto itself would have replayed the batch.
		r.coverage = max(r.coverage, upto+1)
		r.bytes -= len(b.data)
		r.batches[n] = nil
		n++
	}
	r.first += uint64(n)
	if r.batches = r.batches[n:]; len(r.batches) == 0 {
		r.batches = nil
	}
}

func (r *ring) hole(from change.Position) {
	r.coverage = max(r.coverage, from)
	r.holes++
}

// from lists the batches from the given number on that were sent live, and
// says where they end: after about so many bytes, or at the ring's end.
func (r *ring) from(next uint64, bytes int, into []*batch) (batches []*batch, end uint64) {
	for _, b := range r.batches[max(next, r.first)-r.first:] {
		if !b.live {
			continue
		}
		if bytes -= len(b.data); bytes < 0 && len(into) > 0 {
			return into, b.number
		}
		into = append(into, b)
	}
	return into, r.end()
}

// conflate drops, in place, every keyed batch that a later one replaces.
func conflate(batches []*batch) []*batch {
	var newest map[string]*batch
	for _, b := range batches {
		if b.key != "" {
			if newest == nil {
				newest = make(map[string]*batch)
			}
			newest[b.key] = b
		}
	}
	if newest == nil {
		return batches
	}
	kept := batches[:0]
	for _, b := range batches {
		if b.key == "" || newest[b.key] == b {
			kept = append(kept, b)
		}
	}
	return kept
}
