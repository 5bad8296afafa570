package live

import (
	"slices"
	"sync"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

// A source is what a stream shows from one publication to the next. What of it
// does not change with the clock alone is encoded once, for all subscribers and
// for state.json.
type source struct {
	page *Page
	view status.View

	// mu is taken after all others.
	mu    sync.Mutex
	facts []byte
	tag   string
	stale time.Time // what facts say
}

func (s *source) encoder() Encoder { return s.page.pages.cfg.Encoder }

// encoded gives the facts and their tag.
func (s *source) encoded(m change.Moment) (facts []byte, tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.facts == nil || !s.stale.Equal(m.StaleSince) {
		s.facts = s.encoder().Facts(s.view, m)
		s.tag = s.encoder().Tag(s.view, s.facts)
		s.stale = m.StaleSince
	}
	return s.facts, s.tag
}

func (s *source) state(m change.Moment) (parts [][]byte, tag string) {
	facts, tag := s.encoded(m)
	return s.encoder().State(s.view, facts, m), tag
}

func (s *source) init(m change.Moment, r change.Recovery) [][]byte {
	facts, _ := s.encoded(m)
	return s.encoder().Init(s.view, facts, m, r)
}

// frames encodes the events that lead to the view.
func (s *source) frames(events []status.Event, m change.Moment) [][]byte {
	frames := make([][]byte, 0, len(events))
	for _, e := range events {
		if e.Kind == status.Init {
			frames = append(frames, slices.Concat(s.init(m, change.Fresh)...))
		} else {
			frames = append(frames, s.encoder().Event(s.view, e, m))
		}
	}
	return frames
}

// Snapshot, Ping and Dropped make it a change.Source.
func (s *source) Snapshot(now time.Time, r change.Recovery) [][]byte {
	return s.init(s.page.moment(now), r)
}

func (s *source) Ping(now time.Time) []byte { return s.encoder().Ping(s.view, s.page.moment(now)) }

func (s *source) Dropped(n int) []byte { return s.encoder().Dropped(n) }
