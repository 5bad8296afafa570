package tail

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"statustail/stream/change"
)

type losses []error

func (*losses) Opened(from, now change.Position) {}
func (*losses) Hint(change.Hint)                 {}
func (*losses) Message(change.Message)           {}
func (*losses) Reached(change.Position)          {}
func (l *losses) Lost(err error)                 { *l = append(*l, err) }

func TestOutageIsToldOnceAndBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var told losses
		out := &outage{log: slog.New(slog.NewTextHandler(&log, nil)), metrics: newMetrics(nil), sink: &told}
		var longest time.Duration
		for range 40 {
			began := time.Now()
			if err := out.failed(t.Context(), errors.New("gone")); err != nil {
				t.Fatal(err)
			}
			longest = max(longest, time.Since(began))
		}
		if len(told) != 1 || strings.Count(log.String(), "WARN") != 1 {
			t.Errorf("told %d times, logged:\n%s", len(told), log.String())
		}
		if longest > maxPause+time.Millisecond || longest < maxPause/4 {
			t.Errorf("the longest pause is %v", longest)
		}
		out.over()
		out.over()
		if n := strings.Count(log.String(), "followed again"); n != 1 {
			t.Errorf("its end is logged %d times", n)
		}
		began := time.Now()
		out.failed(t.Context(), errors.New("again"))
		if d := time.Since(began); d > firstPause+time.Millisecond || len(told) != 2 {
			t.Errorf("after the end it waits %v, told %d times", d, len(told))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := out.failed(ctx, errors.New("again")); !errors.Is(err, context.Canceled) || len(told) != 2 {
			t.Errorf("when it is over: %v, told %d times", err, len(told))
		}
	})
}

func TestLagCountsSilence(t *testing.T) {
	m := newMetrics(prometheus.NewRegistry())
	now := time.Now()
	if lag := m.lag(now); lag != 0 {
		t.Errorf("before the start: %v", lag)
	}
	m.hear(now, -time.Second)
	if lag := m.lag(now.Add(time.Second)); lag != 0 {
		t.Errorf("quiet: %v", lag)
	}
	m.hear(now, 3*time.Second)
	if lag := m.lag(now.Add(time.Second)); lag != 3*time.Second {
		t.Errorf("behind: %v", lag)
	}
	m.follows(false)
	if lag := m.lag(now.Add(time.Second)); lag != 4*time.Second {
		t.Errorf("in an outage: %v", lag)
	}
	m.follows(true)
	if lag := m.lag(now.Add(time.Minute)); lag != time.Minute+3*time.Second {
		t.Errorf("silent: %v", lag)
	}
}
