// Package contract holds what every follower must do, as tests: the same for
// the embedded database, for change streams and for capped collections. It
// is used by tests only.
package contract

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"statustail/stream/change"
	"statustail/stream/tail"
)

// patience is how long anything may take that has to happen. It bounds
// failing tests only.
const patience = time.Minute

// A Recorder is a sink that remembers, and checks what holds for every
// follower: no call before Opened, nothing at or below what was reached but
// history, positions within what was promised, Reached never runs back.
type Recorder struct {
	t  testing.TB
	mu sync.Mutex
	ch chan struct{} // closed and replaced at every call

	Opens    []Open
	Hints    []change.Hint
	Messages []change.Message
	Losses   []error
	Reach    change.Position
}

// An Open is one call of Opened.
type Open struct{ From, Now change.Position }

// NewRecorder makes an empty one.
func NewRecorder(t testing.TB) *Recorder { return &Recorder{t: t, ch: make(chan struct{})} }

func (r *Recorder) call(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.ch)
	r.ch = make(chan struct{})
}

func (r *Recorder) Opened(from, now change.Position) {
	r.call(func() {
		if from > now {
			r.t.Errorf("opened from %v, which is after now, %v", from, now)
		}
		r.Opens = append(r.Opens, Open{from, now})
	})
}

func (r *Recorder) Hint(h change.Hint) {
	r.call(func() {
		r.check(h.At, fmt.Sprintf("hint %+v", h))
		r.Hints = append(r.Hints, h)
	})
}

func (r *Recorder) Message(m change.Message) {
	r.call(func() {
		r.check(m.At, fmt.Sprintf("message %+v", m))
		r.Messages = append(r.Messages, m)
	})
}

func (r *Recorder) check(at change.Position, what string) {
	if len(r.Opens) == 0 {
		r.t.Errorf("%s before Opened", what)
		return
	}
	if o := r.Opens[len(r.Opens)-1]; at < o.From && r.Reach >= o.Now {
		r.t.Errorf("%s at %v, after everything from %v on was promised", what, at, o.From)
	}
	if at < r.Reach {
		r.t.Errorf("%s at %v, but %v was reached", what, at, r.Reach)
	}
}

func (r *Recorder) Reached(p change.Position) {
	r.call(func() {
		if len(r.Opens) == 0 {
			r.t.Errorf("reached %v before Opened", p)
		}
		if p < r.Reach {
			r.t.Errorf("reached %v after %v", p, r.Reach)
		}
		r.Reach = p
	})
}

func (r *Recorder) Lost(err error) {
	r.call(func() {
		if err == nil {
			r.t.Error("lost without an error")
		}
		r.Losses = append(r.Losses, err)
	})
}

// Wait waits until the condition holds, which is called with the recorder
// locked, and fails the test with what it was when that takes too long.
func (r *Recorder) Wait(what string, done func(*Recorder) bool) {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		ok, ch := done(r), r.ch
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-ch:
		case <-timeout:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("waited in vain for %s; %d opens, %d hints, %d messages, losses %v, reached %v",
				what, len(r.Opens), len(r.Hints), len(r.Messages), r.Losses, r.Reach)
		}
	}
}

// Look calls f with the recorder locked.
func (r *Recorder) Look(f func(*Recorder)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
}

// WaitReady waits until all history was passed on.
func (r *Recorder) WaitReady() {
	r.t.Helper()
	r.Wait("the start", func(r *Recorder) bool { return len(r.Opens) > 0 && r.Reach >= r.Opens[0].Now })
}

// WaitHint waits for a hint of the document, among those from the n-th on.
func (r *Recorder) WaitHint(n int, collection, page, id string) {
	r.t.Helper()
	r.Wait(fmt.Sprintf("a hint of %s %s/%s", collection, page, id), func(r *Recorder) bool {
		for _, h := range r.Hints[min(n, len(r.Hints)):] {
			if h.Collection == collection && h.Page == page && h.ID == id {
				return true
			}
		}
		return false
	})
}

// Count is how many hints there are, opens and messages.
func (r *Recorder) Count() (opens, hints, messages int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.Opens), len(r.Hints), len(r.Messages)
}

// Follow runs the follower until the test ends, or stop is called, and checks
// that it ends with the context's error.
func Follow(t testing.TB, f tail.Follower) (r *Recorder, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r = NewRecorder(t)
	done := make(chan error, 1)
	go func() { done <- f.Follow(ctx, r) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("Follow returned %v", err)
				}
			case <-time.After(patience):
				t.Error("Follow does not end")
			}
		})
	}
	t.Cleanup(stop)
	return r, stop
}
