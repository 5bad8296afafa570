package fanout

import (
	"container/heap"
	"slices"
	"time"

	"statustail/stream/change"
)

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
// before it is gone. A number is left out, so that it counts as lost for every
// reader, whatever was missed. It returns all channels.
func (s *store) restart(from change.Position) (all []*Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached, s.begin, s.marks = from, change.EventID{At: from}, nil
	for _, t := range s.topics {
		for len(t.log) > 0 {
			s.remove(t, len(t.log)-1)
		}
		t.end++
		t.last, t.begin, t.lost = change.EventID{}, change.EventID{}, t.end
		all = append(all, t.channels...)
		s.tidy(t)
	}
	s.notify()
	return all
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
