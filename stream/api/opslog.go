package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/r3labs/sse/v2"

	"statustail/stream/live"
)

// An OpsLog shows operators, live, what the server does: hints, reloads, what
// was published, refusals. Each session has a stream of its own, so that an
// operator who reads slowly loses lines and holds up nobody.
type OpsLog struct {
	sse *sse.Server

	ctx  context.Context // ends every session
	stop context.CancelFunc

	mu       sync.RWMutex
	sessions map[string]bool
}

// opsBuffer is how many lines one session may lag behind.
const opsBuffer = 1024

// opsSilence is how often a line is sent when nothing happens, so that a
// reader, and what stands before it, can tell silence from a dead connection.
const opsSilence = 15 * time.Second

// NewOpsLog makes a log without readers; that costs next to nothing.
func NewOpsLog() *OpsLog {
	s := sse.New()
	s.AutoReplay = false // an unbounded log otherwise
	s.AutoStream = false
	s.BufferSize = opsBuffer
	ctx, stop := context.WithCancel(context.Background())
	return &OpsLog{sse: s, ctx: ctx, stop: stop, sessions: make(map[string]bool)}
}

// Observe sends an activity to every session that keeps up. It never blocks.
func (l *OpsLog) Observe(a live.Activity) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.sessions) == 0 {
		return
	}
	line := struct {
		live.Activity
		Time     time.Time `json:"time"`
		Position string    `json:"position,omitempty"`
	}{Activity: a, Time: time.Now().UTC()}
	if a.At != 0 {
		line.Position = a.At.String()
	}
	data, err := json.Marshal(line)
	if err != nil {
		return // strings and a time: cannot be
	}
	for id := range l.sessions {
		l.sse.TryPublish(id, &sse.Event{Event: []byte(a.Kind), Data: data})
	}
}

// ServeHTTP is one session.
func (l *OpsLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()

	id := rand.Text()
	l.sse.CreateStream(id)
	l.locked(func() { l.sessions[id] = true })
	quiet := time.NewTicker(opsSilence)
	defer quiet.Stop()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-quiet.C:
				l.sse.TryPublish(id, &sse.Event{Comment: []byte("nothing new")})
			}
		}
	}()

	r = r.Clone(ctx)
	r.URL.RawQuery = url.Values{"stream": {id}}.Encode()
	r.Header.Del("Last-Event-ID") // the library answers 400 to one that is no number
	w.Header().Set("X-Accel-Buffering", "no")
	l.sse.ServeHTTP(w, r)

	l.locked(func() { delete(l.sessions, id) })
	// Only now: removing a stream that still has its subscriber leaves the
	// library's goroutine behind for ever.
	l.sse.RemoveStream(id)
}

func (l *OpsLog) locked(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// Close ends every open session; later ones end at once.
func (l *OpsLog) Close() { l.stop() }
