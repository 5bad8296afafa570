package tail

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// An outage is told of once, however often trying again fails, and its end
// once more. Between two attempts it waits: a random time below a bound that
// doubles, so that many servers do not come back in step.
type outage struct {
	log     *slog.Logger
	metrics *metrics
	sink    Sink

	failures int
	since    time.Time
}

// failed notes a failure and waits before the next attempt; its error is the
// context's.
func (o *outage) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	o.metrics.follows(false)
	if o.failures == 0 {
		o.since = time.Now()
		o.log.Warn("the database cannot be followed, trying again", "error", err)
		o.sink.Lost(err)
	} else {
		o.log.Debug("the database still cannot be followed", "error", err)
	}
	bound := min(firstPause<<min(o.failures, 20), maxPause)
	o.failures++
	return pause(ctx, rand.N(bound)+time.Millisecond)
}

// over notes that the database is followed. It is cheap to call often.
func (o *outage) over() {
	o.metrics.follows(true)
	if o.failures == 0 {
		return
	}
	o.log.Info("the database is followed again", "outage", time.Since(o.since).Round(time.Millisecond), "attempts", o.failures)
	o.metrics.reconnects.Inc()
	o.failures = 0
}

// pause waits, and returns the context's error if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
