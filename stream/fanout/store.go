package fanout

import (
	"container/heap"
	"slices"
	"sort"
	"sync"
	"time"

	"statustail/stream/change"
)

const (
	// maxMissed and maxMissedBytes bound what one catch-up sends.
	maxMissed      = 1000
	maxMissedBytes = 256 << 10

	// messageCost and topicCost are roughly what a message costs beside its
	// frame, and what a page costs of which only the end of its past is kept.
	messageCost = 200
	topicCost   = 300

	// ages is how many steps there are between a message's arrival and its
	// being forgotten for its age.
	ages = 16
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

// A store holds the newest messages of all pages, whether anybody watches them
// or not. It is bounded by bytes and by age. Over its bytes, the page that
// holds the most loses its oldest message, so that a noisy page loses its own.
//
// Its lock is taken after a channel's, and no other is taken under it.
type store struct {
	maxBytes int
	maxAge   time.Duration

	mu      sync.Mutex
	reached change.Position
	begin   change.EventID // messages of any page before it may be missing
	topics  map[string]*topic
	bySize  bySize // those that hold messages
	bytes   int
	marks   []mark
	moved   chan struct{} // closed when something has come; nil: nobody waits
}

// A mark is when a position was reached: what lies before it is at least that
// old.
type mark struct {
	when    time.Time
	reached change.Position
}

func newStore(maxBytes int, maxAge time.Duration) *store {
	return &store{maxBytes: maxBytes, maxAge: maxAge, topics: make(map[string]*topic)}
}

// topic is the page's. The caller holds mu.
func (s *store) topic(page string) *topic {
	t := s.topics[page]
	if t == nil {
		t = &topic{page: page, place: -1}
		s.topics[page] = t
	}
	return t
}

// open adds a channel to its page's. What is passed on from then on is passed
// on to it.
func (s *store) open(page string, c *Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.topic = s.topic(page)
	c.passed = c.topic.end
	c.topic.channels = append(slices.Clone(c.topic.channels), c)
}

func (s *store) close(c *Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := c.topic
	t.channels = slices.DeleteFunc(slices.Clone(t.channels), func(o *Channel) bool { return o == c })
	s.tidy(t)
}

// add keeps a message, and returns the channels that it is for.
func (s *store) add(m change.Message, frame []byte) (*message, []*Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(m.Page)
	at := max(m.At, t.last.At) // never back
	if at == t.last.At {
		t.last.Passed++
	} else {
		t.last = change.EventID{At: at, Passed: 1}
	}
	kept := &message{id: t.last, number: t.end}
	kept.parts[0] = append(appendID(make([]byte, 0, len(frame)+32), t.last), frame...)
	t.end++
	if m.Key != "" {
		kept.key = m.Name + "\x00" + m.Key
		if old := t.keys[kept.key]; old != nil {
			s.remove(t, t.from(old.number))
		}
		if t.keys == nil {
			t.keys = make(map[string]*message)
		}
		t.keys[kept.key] = kept
	}
	t.log = append(t.log, kept)
	s.grow(t, kept.size())
	s.shrink()
	s.notify()
	return kept, t.channels
}

// missed lists what a reader that has the messages below from has missed of
// those below to: the newest of each key, in order, at most maxMissed and
// maxMissedBytes of them; dropped is how many more there are. complete says
// that none is missing for another reason. The list must not be changed.
func (s *store) missed(t *topic, from, to uint64) (list []*message, dropped int, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	complete = from >= t.lost
	if from >= to {
		return nil, 0, complete
	}
	first, end := t.from(from), t.from(to)
	start, bytes := end, 0
	for start > first && end-start < maxMissed {
		bytes += len(t.log[start-1].parts[0])
		if bytes > maxMissedBytes && start < end {
			break
		}
		start--
	}
	return slices.Clone(t.log[start:end]), start - first, complete
}

// resume finds where a reader with that id goes on, and whether every message
// after it is here.
func (s *store) resume(t *topic, id change.EventID) (next uint64, r change.Recovery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch begin := s.beginOf(t); {
	case s.current(t).Before(id):
		return t.end, change.Unrecovered
	case id.Before(begin):
		return t.after(begin), change.Unrecovered
	}
	return t.after(id), change.Recovered
}

// idAt is the id of a reader that was given the messages below a number.
func (s *store) idAt(t *topic, number uint64) change.EventID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := t.from(number); i < len(t.log) {
		return t.log[i].before()
	}
	return s.current(t)
}

// current is the id of a reader that has everything. The caller holds mu.
func (s *store) current(t *topic) change.EventID {
	id := change.EventID{At: s.reached}
	for _, other := range []change.EventID{t.last, s.beginOf(t)} {
		if id.Before(other) {
			id = other
		}
	}
	return id
}

func (s *store) beginOf(t *topic) change.EventID {
	if t.begin.Before(s.begin) {
		return s.begin
	}
	return t.begin
}

// tolerance is how many seconds ahead of everything known an id may lie for it
// to be worth waiting for.
const tolerance = 60

// await waits until an id is no longer ahead of what is known, or done is
// closed.
func (s *store) await(t *topic, id change.EventID, done <-chan struct{}) {
	for {
		moved := s.behind(t, id)
		if moved == nil {
			return
		}
		select {
		case <-moved:
		case <-done:
			return
		}
	}
}

// behind is closed when there is more; nil when nothing needs to be waited
// for.
func (s *store) behind(t *topic, id change.EventID) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.current(t)
	if !now.Before(id) || uint64(id.At.Seconds()) > uint64(now.At.Seconds())+tolerance {
		return nil
	}
	if s.moved == nil {
		s.moved = make(chan struct{})
	}
	return s.moved
}

// notify wakes those who wait. The caller holds mu.
func (s *store) notify() {
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// reach moves the tail's position.
func (s *store) reach(at change.Position, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached = max(s.reached, at)
	s.notify()
	if n := len(s.marks); n == 0 || now.Sub(s.marks[n-1].when) >= s.maxAge/ages {
		s.marks = append(s.marks, mark{now, s.reached})
		s.age(now)
	}
}

// age forgets what is too old. The caller holds mu.
func (s *store) age(now time.Time) {
	n := 0
	for n < len(s.marks) && now.Sub(s.marks[n].when) >= s.maxAge {
		n++
	}
	if n == 0 {
		return
	}
	s.forgetBefore(change.EventID{At: s.marks[n-1].reached})
	s.marks = slices.Delete(s.marks, 0, n)
}

// forgetBefore forgets what lies before an id, of all pages. The caller holds
// mu.
func (s *store) forgetBefore(id change.EventID) {
	if id.Before(s.begin) {
		return
	}
	s.begin = id
	for _, t := range s.topics {
		for len(t.log) > 0 && t.log[0].id.Before(id) {
			t.lost = t.log[0].number + 1
			s.remove(t, 0)
		}
		s.tidy(t)
	}
}

// forget forgets the messages of a page up to a position, and those that have
// come.
func (s *store) forget(page string, at change.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(page)
	for len(t.log) > 0 {
		s.remove(t, len(t.log)-1)
	}
	t.begin = s.current(t)
	if id := (change.EventID{At: at}); t.begin.Before(id) {
		t.begin = id
	}
	t.lost = t.end
	if !t.cut {
		t.cut = true
		s.bytes += topicCost
		s.shrink()
	}
}

// restart begins anew: everything from a position on will come, and what lies
// before it is gone. It returns all channels.
func (s *store) restart(from change.Position) (all []*Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached, s.begin, s.marks = from, change.EventID{At: from}, nil
	for _, t := range s.topics {
		for len(t.log) > 0 {
			s.remove(t, len(t.log)-1)
		}
		t.last, t.begin, t.lost = change.EventID{}, change.EventID{}, t.end
		all = append(all, t.channels...)
		s.tidy(t)
	}
	s.notify()
	return all
}

// size is how many bytes are held.
func (s *store) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// shrink keeps the store within its bytes. The caller holds mu.
func (s *store) shrink() {
	for s.bytes > s.maxBytes && len(s.bySize) > 0 {
		t := s.bySize[0]
		t.begin, t.lost = t.log[0].id, t.log[0].number+1
		s.remove(t, 0)
	}
	if s.bytes > s.maxBytes && s.maxBytes > 0 {
		// Nothing is left but the ends of pasts: one end for all.
		s.forgetBefore(change.EventID{At: s.reached + 1})
	}
}

// remove takes a message out of the log. The caller holds mu.
func (s *store) remove(t *topic, i int) {
	m := t.log[i]
	if m.key != "" && t.keys[m.key] == m {
		delete(t.keys, m.key)
	}
	switch {
	case len(t.log) == 1:
		t.log, t.keys = nil, nil
	case i == 0:
		t.log[0] = nil
		t.log = t.log[1:]
	default:
		t.log = slices.Delete(t.log, i, i+1)
	}
	s.grow(t, -m.size())
}

// grow counts bytes of a topic. The caller holds mu.
func (s *store) grow(t *topic, bytes int) {
	t.bytes += bytes
	s.bytes += bytes
	switch {
	case t.place < 0:
		heap.Push(&s.bySize, t)
	case t.bytes == 0:
		heap.Remove(&s.bySize, t.place)
	default:
		heap.Fix(&s.bySize, t.place)
	}
}

// tidy drops a topic that says nothing the store does not. The caller holds
// mu.
func (s *store) tidy(t *topic) {
	if len(t.log) == 0 && len(t.channels) == 0 && !s.begin.Before(t.begin) && t.last.At < max(s.begin.At, 1) {
		if t.cut {
			s.bytes -= topicCost
		}
		delete(s.topics, t.page)
	}
}

// bySize is a heap with the topic that holds the most bytes on top.
type bySize []*topic

func (h bySize) Len() int           { return len(h) }
func (h bySize) Less(i, j int) bool { return h[i].bytes > h[j].bytes }
func (h bySize) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *bySize) Push(x any) {
	t := x.(*topic)
	t.place = len(*h)
	*h = append(*h, t)
}

func (h *bySize) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.place = -1
	return t
}
