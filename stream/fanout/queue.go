package fanout

import "time"

const (
	// queueBatches, queueBytes and queueAge bound what a channel holds for
	// shards and goroutines that have not had their turn. A subscriber that is
	// further behind is brought up to date like one that comes back.
	queueBatches = 1024
	queueBytes   = 256 << 10
	queueAge     = 5 * time.Second
)

// A batch is what was published at once, encoded. It never changes: many
// subscribers may be in the middle of writing it.
type batch struct {
	number uint64
	parts  [1][]byte // whole frames
	frames int
	next   uint64 // the topic's messages below it have been given
	at     time.Time
}

// piece is the batch on its way to a subscriber that is up to date.
func (b *batch) piece() piece {
	return piece{parts: b.parts[:], frames: b.frames, begun: step{place: place{cursor: b.number + 1, next: b.next}}}
}

// A queue is what a channel has published lately. Batches are numbered without
// gaps from the channel's beginning.
type queue struct {
	batches []*batch
	first   uint64 // the number of batches[0]
	bytes   int
}

// end is the number that the next batch will have.
func (q *queue) end() uint64 { return q.first + uint64(len(q.batches)) }

func (q *queue) add(b *batch) {
	b.number = q.end()
	q.batches = append(q.batches, b)
	q.bytes += len(b.parts[0])
	for len(q.batches) > queueBatches || q.bytes > queueBytes && len(q.batches) > 1 {
		q.shift()
	}
}

// skip gives a number to a batch that has no readers.
func (q *queue) skip() {
	q.first = q.end() + 1
	q.batches, q.bytes = nil, 0
}

// expire drops what every subscriber has had time to take.
func (q *queue) expire(now time.Time) {
	for len(q.batches) > 0 && now.Sub(q.batches[0].at) >= queueAge {
		q.shift()
	}
}

func (q *queue) shift() {
	q.bytes -= len(q.batches[0].parts[0])
	q.batches[0] = nil
	q.first++
	if q.batches = q.batches[1:]; len(q.batches) == 0 {
		q.batches = nil
	}
}

// from lists the batches from a number on, and says where they end: after
// about so many bytes, or at the queue's end.
func (q *queue) from(number uint64, bytes int, into []*batch) (batches []*batch, end uint64) {
	for _, b := range q.batches[max(number, q.first)-q.first:] {
		if bytes -= len(b.parts[0]); bytes < 0 && len(into) > 0 {
			return into, b.number
		}
		into = append(into, b)
	}
	return into, q.end()
}
