package fanout

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"statustail/stream/change"
)

// tell adds a message with a frame of so many bytes.
func (s *store) tell(page string, at change.Position, key string, bytes int) {
	s.add(change.Message{Page: page, Name: "m", Key: key, At: at}, []byte(strings.Repeat("x", bytes)))
}

func (s *store) held(page string) int {
	if t := s.topics[page]; t != nil {
		return len(t.log)
	}
	return 0
}

// check adds up what is kept in pieces.
func (s *store) check(t *testing.T) {
	t.Helper()
	all := 0
	for page, topic := range s.topics {
		sum := 0
		for i, m := range topic.log {
			sum += m.size()
			if i > 0 && !topic.log[i-1].id.Before(m.id) {
				t.Errorf("%s: %v after %v", page, m.id, topic.log[i-1].id)
			}
		}
		if sum != topic.bytes || (topic.place >= 0) != (sum > 0) || topic.place >= 0 && s.bySize[topic.place] != topic {
			t.Errorf("%s: %d bytes, counted %d, at %d of the heap", page, sum, topic.bytes, topic.place)
		}
		if all += sum; topic.cut {
			all += topicCost
		}
	}
	if all != s.bytes || s.bytes > s.maxBytes {
		t.Errorf("%d bytes, counted %d, of at most %d", all, s.bytes, s.maxBytes)
	}
}

// A noisy page loses its own messages, and no other page's.
func TestStoreShares(t *testing.T) {
	s := newStore(100<<10, time.Hour)
	s.restart(at(0))
	for i := range uint32(10) {
		s.tell("quiet", at(1+i), "", 100)
	}
	for i := range uint32(10_000) {
		s.tell(fmt.Sprint("noisy", i%2), at(20+i), "", 100)
	}
	s.check(t)
	if n := s.held("quiet"); n != 10 {
		t.Errorf("%d of 10 messages are left of the quiet page", n)
	}
	a, b := s.held("noisy0"), s.held("noisy1")
	if a < 100 || a-b > 1 || b-a > 1 {
		t.Errorf("the noisy pages hold %d and %d", a, b)
	}
	for page, want := range map[string]change.Recovery{"quiet": change.Recovered, "noisy0": change.Unrecovered} {
		if _, got := s.resume(s.topics[page], change.EventID{At: at(0)}); got != want {
			t.Errorf("%s: recovery %v, want %v", page, got, want)
		}
	}
}

// 200 busy pages share one budget.
func TestStoreBudget(t *testing.T) {
	s := newStore(1<<20, time.Hour)
	s.restart(at(0))
	for i := range uint32(50_000) {
		s.tell(fmt.Sprint("p", i%200), at(1+i), "", 300)
		if i%10_000 == 0 {
			s.check(t)
		}
	}
	s.check(t)
	for page := range s.topics {
		if n := s.held(page); n < 9 {
			t.Errorf("%s holds %d messages", page, n)
		}
	}
}

// Of a key only the newest is kept.
func TestStoreConflates(t *testing.T) {
	s := newStore(1<<20, time.Hour)
	s.restart(at(0))
	for i := range uint32(1000) {
		s.tell("p", at(1+i), fmt.Sprint(i%3), 100)
		if i%100 == 0 {
			s.tell("p", at(1+i), "", 100)
		}
	}
	s.check(t)
	if n := s.held("p"); n != 13 {
		t.Errorf("%d messages are kept, want 13", n)
	}
	next, r := s.resume(s.topics["p"], change.EventID{At: at(0)})
	list, dropped, complete := s.missed(s.topics["p"], next, s.topics["p"].end)
	if len(list) != 13 || dropped != 0 || !complete || r != change.Recovered {
		t.Errorf("got %d messages, %d dropped, complete %v, recovery %v", len(list), dropped, complete, r)
	}
}

func TestStoreAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(1<<20, 10*time.Minute)
		s.restart(at(0))
		for i := range uint32(20 * 60) {
			s.tell(fmt.Sprint("p", i%5), at(1+i), "", 10)
			s.reach(at(1+i), time.Now())
			time.Sleep(time.Second)
		}
		s.check(t)
		if n := s.held("p0"); n < 120 || n > 120*18/16 {
			t.Errorf("%d messages of ten minutes and a little, want 120", n)
		}
		top := s.topics["p0"]
		if _, r := s.resume(top, change.EventID{At: at(20*60 - 600)}); r != change.Recovered {
			t.Error("ten minutes ago is forgotten")
		}
		if _, r := s.resume(top, change.EventID{At: at(20*60 - 700)}); r != change.Unrecovered {
			t.Error("long ago is not forgotten")
		}
		for i := range uint32(60) {
			time.Sleep(15 * time.Second)
			s.reach(at(2000+i), time.Now())
		}
		s.check(t)
		if len(s.topics) != 0 || s.bytes != 0 || len(s.marks) > ages+2 {
			t.Errorf("%d pages, %d bytes, %d marks are left", len(s.topics), s.bytes, len(s.marks))
		}
	})
}

// The ends of pasts are bounded, too: a flood of new pages costs recovery, and
// no memory.
func TestStoreForgetsBounded(t *testing.T) {
	s := newStore(100*topicCost, time.Hour)
	s.restart(at(0))
	s.tell("p", at(1), "", 10)
	for i := range uint32(1000) {
		s.forget(fmt.Sprint("new", i), at(2+i))
		s.reach(at(2+i), time.Now())
	}
	s.check(t)
	if len(s.topics) > 101 {
		t.Errorf("%d pages are kept", len(s.topics))
	}
	s.open("new0", new(Channel))
	if _, r := s.resume(s.topics["new0"], change.EventID{At: at(1)}); r != change.Unrecovered {
		t.Error("the past of a page came back")
	}
}
