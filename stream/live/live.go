// Package live keeps status pages true in memory while somebody looks at
// them: a hint leads to a reload, the reload is compared with what was known,
// and the difference is published.
//
// It is level-triggered: a hint carries no truth, so one that is missed,
// doubled or late cannot corrupt anything, and after any failure the recovery
// is the ordinary path. It must never know which database this is, how
// changes are followed, how subscribers are connected, or what HTTP is.
package live

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"statustail/stream/change"
	"statustail/stream/status"
)

// ErrNotFound says that there is no such page, component or host.
var ErrNotFound = errors.New("not found")

// ErrUnavailable says that the page is not in memory and the database cannot
// be asked at the moment.
var ErrUnavailable = errors.New("the database cannot be reached, and the page is not in memory")

// A Loader reads the truth. Implementations must be safe for concurrent use.
type Loader interface {
	// Load reads whole pages as they were at or after the position after.
	// Pages that do not exist are missing from the result. at is an upper
	// bound of what was read: nothing newer than it is reflected.
	Load(ctx context.Context, slugs []string, after change.Position) (pages map[string]status.Page, at change.Position, err error)
	// PageByHost finds the page that lists a host, in lower case and without
	// a port, among its own.
	PageByHost(ctx context.Context, host string) (slug string, found bool, err error)
}

// An Encoder turns views and differences into frames. It must be pure.
type Encoder interface {
	Init(v status.View, now time.Time, recovered *bool, stale time.Time) []byte
	Events(v status.View, events []status.Event, now, stale time.Time) [][]byte
	Ping(v status.View, now, stale time.Time) []byte
	Message(name string, data []byte) []byte
}

// A Channel is where the frames of one stream are published. Its methods
// must not block on subscribers and must not call back, except that it may
// ask the source at any time.
type Channel interface {
	// Publish appends frames, to be sent and replayed, and replaces the
	// source (nil: unchanged) in one critical section. upto is an upper
	// bound of the positions that the frames reflect; id, unless zero, is
	// what a subscriber that has the last frame has everything up to. With a
	// key, a later frame of that key replaces this one for readers that lag.
	Publish(src Source, frames [][]byte, key string, upto, id change.Position)
	// Record appends frames for replay only.
	Record(frames [][]byte, key string, upto, id change.Position)
	// Hole says that what was published between the last frame and from may
	// be incomplete.
	Hole(from change.Position)
	// Close ends the stream of every subscriber.
	Close()
	Subscribers() int
}

// A Source says what a channel shows at the moment. Its methods are quick
// and take no locks that are held while publishing.
type Source interface {
	Snapshot(now time.Time, recovered *bool) []byte
	Ping(now time.Time) []byte
	Settled() change.Position
}

// Config is what New needs. Zero durations and counts get the defaults that
// their comments name.
type Config struct {
	Loader  Loader
	Encoder Encoder
	// Open opens the channel of a stream; coverage is where what it can
	// replay begins.
	Open func(name string, src Source, coverage change.Position) Channel

	Logger     *slog.Logger          // nil: discard
	Registerer prometheus.Registerer // nil: no metrics
	// Observe, unless nil, is told what happens, for the operators' log. It
	// must not block.
	Observe func(Activity)

	Debounce    time.Duration // least time between two reloads of a page: 200 ms
	Safety      time.Duration // a reload of each page even with no hint: 30 s, jittered
	Linger      time.Duration // how long a page outlives its last subscriber: 60 s
	Patience    time.Duration // how long Open waits for the first catch-up and a load: 10 s
	MessageWait time.Duration // how long a message waits for an earlier hint's reload: 1 s
	Grace       time.Duration // how long an outage may last before it shows: 5 s
	Retry       time.Duration // first pause after a failed load, doubled to 16 times it: 500 ms
	Concurrency int           // loads at the database at once: 4
	Batch       int           // pages in one load at most: 200
	Replay      time.Duration // age of the oldest message kept for replay: 10 min
	ReplayBytes int           // bytes of messages kept for replay: 64 MiB
}

// An Activity is one line of the operators' log.
type Activity struct {
	Kind   string          `json:"kind"` // hint, message, reload, publish, close, opened, lost, refused, parked
	Page   string          `json:"page,omitempty"`
	Detail string          `json:"detail,omitempty"`
	At     change.Position `json:"-"`
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Debounce, 200*time.Millisecond)
	def(&c.Safety, 30*time.Second)
	def(&c.Linger, 60*time.Second)
	def(&c.Patience, 10*time.Second)
	def(&c.MessageWait, time.Second)
	def(&c.Grace, 5*time.Second)
	def(&c.Retry, 500*time.Millisecond)
	def(&c.Replay, 10*time.Minute)
	if c.Concurrency == 0 {
		c.Concurrency = 4
	}
	if c.Batch == 0 {
		c.Batch = 200
	}
	if c.ReplayBytes == 0 {
		c.ReplayBytes = 64 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(Activity) {}
	}
	return c
}
