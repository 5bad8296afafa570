package fanout

import (
	"slices"
	"sync"
	"time"

	"statustail/stream/change"
)

const (
	// maxMissed and maxMissedBytes bound what one catch-up sends.
	maxMissed      = 1000
	maxMissedBytes = 256 << 10

	// ages is how many steps there are between a message's arrival and its
	// being forgotten for its age.
	ages = 16
)

// A store holds the newest messages of all pages, whether they are watched or
// not. It is bounded by bytes and by age. Over its bytes, the page that
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
	moved   chan struct{} // closed when something has come; nil: no reader waits
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

// end is the number of the next message.
func (s *store) end(t *topic) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.end
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

// size is how many bytes are held.
func (s *store) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}
