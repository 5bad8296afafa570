package fanout

import (
	"log/slog"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says how a hub behaves. The zero Config is good for production.
type Config struct {
	// Ping is how often each subscriber gets a ping; 0 means 60 s, the
	// interval of the Hund live stream. Every idle limit between here and
	// the browser must be well above it.
	Ping time.Duration

	// RetryMin and RetryMax are the range from which each connection's
	// retry: is drawn, evenly. It is the only thing that keeps browsers from
	// coming back all at once. Both 0 means 2 s to 12 s.
	RetryMin, RetryMax time.Duration

	// Stuck is how long a subscriber may take for 64 KB of what it is owed,
	// or for all of it if that is less, before it is closed; 0 means 30 s.
	Stuck time.Duration

	// Replay is for how long messages are kept for those who come back, and
	// ReplayBytes how many bytes of them, of all pages together; 0 means
	// 10 min and 64 MiB. A negative Replay keeps none.
	Replay      time.Duration
	ReplayBytes int

	// MaxSubscribers, MaxPerPage and MaxPerClient bound the subscribers: in
	// all, with one Request.Page, with one Request.Client. 0 means no limit.
	// Whoever comes beyond is parked.
	MaxSubscribers int
	MaxPerPage     int
	MaxPerClient   int

	// MaxParked bounds the parked; beyond it a connection is closed without
	// a byte. 0 means 1024, a negative number parks nobody.
	MaxParked int

	// ParkMin and ParkMax are the range from which a parked connection's
	// time is drawn, and its retry: too. Both 0 means 30 s to 90 s.
	ParkMin, ParkMax time.Duration

	// Shards is the number of epoll loops; 0 means one for each processor
	// Go may use. Only on Linux.
	Shards int

	// Portable leaves every connection with net/http: a goroutine and
	// buffers for each, as it is on systems other than Linux.
	Portable bool

	// Refused, unless nil, is told of everybody who is not served, with the
	// reason that the metrics have. It must not block.
	Refused func(q Request, reason string)

	// Logger is told of what an operator can do something about; nil: nobody.
	Logger *slog.Logger

	// Registerer gets the metrics; nil: nobody does.
	Registerer prometheus.Registerer
}

func (c Config) withDefaults() Config {
	duration := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	number := func(n *int, def int) {
		if *n <= 0 {
			*n = def
		}
	}
	if c.RetryMin <= 0 && c.RetryMax <= 0 {
		c.RetryMin, c.RetryMax = 2*time.Second, 12*time.Second
	}
	c.RetryMax = max(c.RetryMin, c.RetryMax)
	if c.ParkMin <= 0 && c.ParkMax <= 0 {
		c.ParkMin, c.ParkMax = 30*time.Second, 90*time.Second
	}
	c.ParkMax = max(c.ParkMin, c.ParkMax)
	duration(&c.Ping, time.Minute)
	duration(&c.Stuck, 30*time.Second)
	number(&c.ReplayBytes, 64<<20)
	if c.Replay < 0 {
		c.Replay, c.ReplayBytes = time.Second, 0
	}
	duration(&c.Replay, 10*time.Minute)
	number(&c.Shards, runtime.GOMAXPROCS(0))
	if c.MaxParked == 0 {
		c.MaxParked = 1024
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// tick is the grain of time: pings are spread over intervals of so many
// ticks, and no deadline is kept more exactly.
func (c Config) tick() time.Duration {
	t := min(c.Ping/60, c.Stuck/8, c.ParkMax/8, time.Second)
	return max(t, 5*time.Millisecond)
}

func between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + rand.N(hi-lo)
}
