//go:build !race

package convergence

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"statustail/stream/hund/hundtest"
)

// message is the name of the application events that are counted.
const message = "count"

// A subscriber reads one page for the whole test, from whichever server is
// there, and remembers what a browser would: its state and the last id.
type subscriber struct {
	page    string
	servers []string // base URLs
	rand    *rand.Rand
	cut     chan struct{} // ends the connection it has

	mu     sync.Mutex
	client hundtest.Client
	ready  bool // has had a first init_event
	lastID string
	// last is the number of the newest message seen, -1 before any.
	last int
	// told says that messages after last may be missing, as an init_event or
	// messages_dropped has said.
	told    bool
	excused int // gaps that were told of
	alarmed int // times when nothing was missing of what might have been
	errors  []string
}

// read goes on until ctx is done.
func (s *subscriber) read(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		server, id := s.servers[s.rand.IntN(len(s.servers))], s.lastID
		pause := time.Duration(s.rand.IntN(100)) * time.Millisecond
		s.mu.Unlock()
		s.connect(ctx, server, id)
		select {
		case <-ctx.Done():
		case <-time.After(pause): // as a browser does, between two attempts
		}
	}
}

func (s *subscriber) connect(ctx context.Context, server, id string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.cut:
			cancel()
		case <-ctx.Done():
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/"+s.page+"/live/v2/status_page", nil)
	if err != nil {
		s.fail("%v", err)
		return
	}
	if id != "" {
		req.Header.Set("Last-Event-ID", id)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return // the server is down
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		// 404 is the truth while the collection of pages is dropped.
		return
	}
	for e := range hundtest.Events(res.Body) {
		s.take(e.Name, []byte(e.Data), e.ID)
	}
}

func (s *subscriber) take(name string, data []byte, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch name {
	case message:
		s.count(data)
	case "messages_dropped":
		s.told = true
	default:
		if err := s.client.Apply(name, data); err != nil {
			s.errors = append(s.errors, err.Error())
		}
	}
	if name == "init_event" {
		s.ready = true
		var init struct{ Recovered *bool }
		json.Unmarshal(data, &init)
		s.told = s.told || init.Recovered != nil && !*init.Recovered
	}
	if id != "" {
		s.lastID = id
	}
}

// count checks that every message comes once, in order, and that none is
// missing unless the reader was told so before.
func (s *subscriber) count(data []byte) {
	var n int
	if err := json.Unmarshal(data, &n); err != nil {
		s.errors = append(s.errors, fmt.Sprintf("message %s: %v", data, err))
		return
	}
	switch {
	case n <= s.last:
		s.errors = append(s.errors, fmt.Sprintf("message %d came again after %d, at %s", n, s.last, s.lastID))
	case n > s.last+1 && !s.told:
		s.errors = append(s.errors, fmt.Sprintf("message %d came after %d, and nothing was said, at %s", n, s.last, s.lastID))
	case n > s.last+1:
		s.excused++
	case s.told:
		s.alarmed++
	}
	s.last, s.told = max(s.last, n), false
}

func (s *subscriber) fail(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errors = append(s.errors, fmt.Sprintf(format, args...))
}

// disconnect ends the connection that the subscriber has; it comes back.
func (s *subscriber) disconnect() {
	select {
	case s.cut <- struct{}{}:
	default:
	}
}
