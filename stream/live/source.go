package live

import (
	"sync"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

// source is what a channel shows from one publication to the next.
type source struct {
	page *Page
	view status.View

	// The last snapshot, because thousands of subscribers may come within
	// one second after a restart and all get the same.
	mu        sync.Mutex
	second    int64
	stale     time.Time
	recovered int
	snapshot  []byte
}

func (p *Page) source(v status.View) *source { return &source{page: p, view: v} }

func (s *source) Snapshot(now time.Time, recovered *bool) []byte {
	stale := s.page.stale(now)
	r := 0
	if recovered != nil {
		r = 1
		if *recovered {
			r = 2
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.snapshot == nil || s.second != now.Unix() || s.recovered != r || !s.stale.Equal(stale) {
		s.snapshot = s.page.pages.cfg.Encoder.Init(s.view, now, recovered, stale)
		s.second, s.recovered, s.stale = now.Unix(), r, stale
	}
	return s.snapshot
}

func (s *source) Ping(now time.Time) []byte {
	return s.page.pages.cfg.Encoder.Ping(s.view, now, s.page.stale(now))
}

func (s *source) Settled() change.Position { return s.page.settled() }
