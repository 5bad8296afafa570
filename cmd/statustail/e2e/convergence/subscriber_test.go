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
	inits  int
	// next is the number of the message that has not been seen yet; -1 while
	// anything may come, after a loss that was told of.
	next int
	// missed is a gap in the numbers that nobody has told of so far.
	missed  string
	excused int // gaps that were told of
	repeats int
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
	if name == message {
		s.count(data)
	} else if name == "init_event" || s.inits > 0 {
		if err := s.client.Apply(name, data); err != nil {
			s.errors = append(s.errors, err.Error())
		}
	}
	if name == "init_event" {
		s.inits++
		s.ready = true
		var init struct{ Recovered *bool }
		json.Unmarshal(data, &init)
		if init.Recovered != nil && !*init.Recovered && s.missed != "" {
			s.missed = ""
			s.excused++
		}
		if init.Recovered != nil && !*init.Recovered {
			// Whatever is missing up to now has been told of.
			s.next = -1
		}
	}
	if id != "" {
		s.lastID = id
	}
}

// count checks that first occurrences come in order and without gaps.
func (s *subscriber) count(data []byte) {
	var n int
	if err := json.Unmarshal(data, &n); err != nil {
		s.errors = append(s.errors, fmt.Sprintf("message %s: %v", data, err))
		return
	}
	switch {
	case s.next < 0 || n == s.next:
		s.next = n + 1
	case n < s.next:
		s.repeats++
	default:
		if s.missed == "" {
			s.missed = fmt.Sprintf("message %d came when %d was due", n, s.next)
		}
		s.next = n + 1
	}
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
