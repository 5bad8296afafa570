package tail

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	hints      prometheus.Counter
	messages   prometheus.Counter
	skipped    *prometheus.CounterVec
	reconnects prometheus.Counter
	holes      prometheus.Counter
	up         prometheus.Gauge

	// behind is by how much the newest answer lagged, heard when that was,
	// both in nanoseconds; see lag.
	behind, heard atomic.Int64
	down          atomic.Bool
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "statustail", Subsystem: "tail", Name: name, Help: help})
	}
	m := &metrics{
		hints:      counter("hints_total", "Changed documents reported."),
		messages:   counter("messages_total", "Application events passed on."),
		reconnects: counter("reconnects_total", "Times the tail was opened again after it broke."),
		holes:      counter("holes_total", "Times continuity was lost and everything was taken as changed."),
		skipped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "statustail", Subsystem: "tail", Name: "skipped_total",
			Help: "Application events skipped because they do not fit the schema.",
		}, []string{"reason"}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "statustail", Subsystem: "tail", Name: "up",
			Help: "1 while the database is followed, 0 during an outage and before the start.",
		}),
	}
	for _, reason := range reasons { // a first count would be no increase
		m.skipped.WithLabelValues(reason)
	}
	if r != nil {
		lag := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "statustail", Subsystem: "tail", Name: "lag_seconds",
			Help: "How far the tail is behind the database, including the time since it last heard of it.",
		}, func() float64 { return m.lag(time.Now()).Seconds() })
		r.MustRegister(m.hints, m.messages, m.skipped, m.reconnects, m.holes, m.up, lag)
	}
	return m
}

// follows notes whether the database is followed.
func (m *metrics) follows(yes bool) {
	m.down.Store(!yes)
	if yes {
		m.up.Set(1)
	} else {
		m.up.Set(0)
	}
}

// hear notes that the database answered, and how far behind it the answer was.
func (m *metrics) hear(now time.Time, behind time.Duration) {
	m.behind.Store(int64(max(behind, 0)))
	m.heard.Store(now.UnixNano())
}

// quietFor is how long a tail may hear nothing at all before that counts as
// lag when nothing is known to be wrong: longer than on a quiet database.
const quietFor = awaitFor + 5*time.Second

func (m *metrics) lag(now time.Time) time.Duration {
	heard := m.heard.Load()
	if heard == 0 {
		return 0
	}
	lag := time.Duration(m.behind.Load())
	if silent := now.Sub(time.Unix(0, heard)); silent > quietFor || m.down.Load() {
		lag += silent
	}
	return lag
}
