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
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"statustail/stream/change"
	"statustail/stream/status"
)

// ErrNotFound says that there is no such page, component, host or issue.
var ErrNotFound = errors.New("not found")

// ErrUnavailable says that the page is not in memory and the database cannot
// be asked at the moment.
var ErrUnavailable = errors.New("the database cannot be reached, and the page is not in memory")

// An Encoder turns views and differences into frames without id: lines. It
// must be pure.
type Encoder interface {
	// Facts encodes what of the state does not change with the clock alone.
	// Init and State put the rest before it. They return parts, of which the
	// facts are one.
	Facts(v status.View, m change.Moment) []byte
	Init(v status.View, facts []byte, m change.Moment, r change.Recovery) [][]byte
	State(v status.View, facts []byte, m change.Moment) [][]byte
	// Tag is the same for equivalent states.
	Tag(v status.View, facts []byte) string

	Event(v status.View, e status.Event, m change.Moment) []byte
	Ping(v status.View, m change.Moment) []byte
	Message(name string, data []byte) []byte
	Dropped(n int) []byte
}

// A Channel is where one stream is published. Its methods must not block on
// subscribers and must not call back, except that it may ask the source at any
// time.
type Channel interface {
	Publish(change.Publication)
	// Close ends the stream of every subscriber.
	Close()
	Subscribers() int
}

// Messages keeps what applications say, for those who watch and those who
// return. All calls but Forget come from the follower.
type Messages interface {
	// Begin says that every message at or after from will come, and that
	// those before it are lost.
	Begin(from change.Position)
	Message(m change.Message, frame []byte)
	// Forget forgets the messages of a page up to a position.
	Forget(page string, upTo change.Position)
	Reached(at change.Position)
}

// Config is what New needs. Zero durations and counts get the defaults that
// their comments name.
type Config struct {
	Loader  Loader
	Encoder Encoder
	// Open opens a stream of a page. The page's own carries its messages.
	Open     func(page string, src change.Source, messages bool) Channel
	Messages Messages

	Logger     *slog.Logger          // nil: discard
	Registerer prometheus.Registerer // nil: no metrics
	// Observe, unless nil, is told what happens, for the operators' log. It
	// must not block.
	Observe func(Activity)

	Debounce    time.Duration // least time between two reloads of a page: 200 ms
	Safety      time.Duration // a reload of each page even with no hint: 30 s, jittered
	Trusted     time.Duration // that while hints are trusted: 5 min; see Pages.Trust
	Linger      time.Duration // how long a page outlives its last subscriber: 60 s
	Patience    time.Duration // how long Open, Host and Issue wait for an answer: 10 s
	Grace       time.Duration // how long an outage may last before it shows: 5 s
	Retry       time.Duration // first pause of what could not be read, doubled to 16 times it: 500 ms
	Concurrency int           // loads at the database at once: 4
	Batch       int           // pages in one load at most: 200
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
	def(&c.Trusted, 5*time.Minute)
	def(&c.Linger, 60*time.Second)
	def(&c.Patience, 10*time.Second)
	def(&c.Grace, 5*time.Second)
	def(&c.Retry, 500*time.Millisecond)
	if c.Concurrency == 0 {
		c.Concurrency = 4
	}
	if c.Batch == 0 {
		c.Batch = 200
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(Activity) {}
	}
	return c
}
