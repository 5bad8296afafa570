package fanout

import (
	"sort"

	"statustail/stream/change"
)

// messageCost and topicCost are roughly what a message costs beside its frame,
// and what a page costs of which only the end of its past is kept.
const (
	messageCost = 200
	topicCost   = 300
)

// A message is kept once, for those who are connected and for those who
// return. It never changes.
type message struct {
	id     change.EventID
	number uint64 // within its topic, without gaps
	key    string
	parts  [1][]byte // its frame, with its id: line
}

func (m *message) size() int { return len(m.parts[0]) + len(m.key) + messageCost }

// before is the id of a reader that has everything up to m, but not m.
func (m *message) before() change.EventID {
	return change.EventID{At: m.id.At, Passed: m.id.Passed - 1}
}

// A topic is the messages of one page. All of it is guarded by store.mu.
type topic struct {
	page     string
	channels []*Channel // replaced when it changes

	// log is in order; of each key it holds only the newest.
	log   []*message
	keys  map[string]*message
	bytes int
	place int // in store.bySize

	end  uint64         // the number of the next message
	last change.EventID // of the newest message
	// begin and lost say the same twice: messages up to begin, those with
	// numbers below lost, may be missing.
	begin change.EventID
	lost  uint64
	cut   bool // topicCost is counted
}

// from is where in the log the messages with that number and later begin.
func (t *topic) from(number uint64) int {
	return sort.Search(len(t.log), func(i int) bool { return t.log[i].number >= number })
}

// after is the number of the first message after an id.
func (t *topic) after(id change.EventID) uint64 {
	i := sort.Search(len(t.log), func(i int) bool { return id.Before(t.log[i].id) })
	if i < len(t.log) {
		return t.log[i].number
	}
	return t.end
}
