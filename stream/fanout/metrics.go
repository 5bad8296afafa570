package fanout

import (
	"github.com/prometheus/client_golang/prometheus"

	"statustail/stream/change"
)

type metrics struct {
	subscribers *prometheus.GaugeVec // by kind
	raw         prometheus.Gauge
	portable    prometheus.Gauge
	parked      prometheus.Gauge

	frames    prometheus.Counter
	bytes     prometheus.Counter
	writes    prometheus.Counter
	fanout    prometheus.Histogram
	skips     prometheus.Counter
	resumes   prometheus.Counter
	evictions *prometheus.CounterVec // by reason
	refusals  *prometheus.CounterVec // by reason
	replays   *prometheus.CounterVec // by whether recovered
}

func newMetrics(r prometheus.Registerer, channels, kept func() float64) *metrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "statustail", Name: name, Help: help}
	}
	m := &metrics{
		subscribers: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "statustail", Name: "subscribers",
			Help: "Connections held now, by kind: raw (owned by an epoll loop), portable (a goroutine each), parked (over a limit, waiting to be closed)."}, []string{"kind"}),
		frames: prometheus.NewCounter(counter("frames_sent_total", "Events handed to sockets, pings and snapshots included.")),
		bytes:  prometheus.NewCounter(counter("bytes_sent_total", "Bytes handed to sockets.")),
		writes: prometheus.NewCounter(counter("writes_total", "Writes to sockets; fewer than the events when several leave in one.")),
		fanout: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "statustail", Name: "fanout_seconds",
			Help:    "From publishing an event to the last write of it by an epoll loop.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 14)}),
		skips:     prometheus.NewCounter(counter("skips_total", "Deliveries not tried because the subscriber's socket was full.")),
		resumes:   prometheus.NewCounter(counter("resumes_total", "Subscribers that lagged and were brought up to date by a snapshot and what they missed.")),
		evictions: prometheus.NewCounterVec(counter("evictions_total", "Subscribers closed by the server, by reason: stuck (took too little for too long), noise (sent data after the request)."), []string{"reason"}),
		refusals:  prometheus.NewCounterVec(counter("refusals_total", "Connections not served, by reason: total, page, client (parked over that limit), parked (too many parked, closed), draining, descriptors (out of them)."), []string{"reason"}),
		replays:   prometheus.NewCounterVec(counter("replays_total", "Connections with a last event id, by whether everything since was replayed."), []string{"recovered"}),
	}
	m.raw = m.subscribers.WithLabelValues("raw")
	m.portable = m.subscribers.WithLabelValues("portable")
	m.parked = m.subscribers.WithLabelValues("parked")
	for _, reason := range []string{"stuck", "noise"} {
		m.evictions.WithLabelValues(reason)
	}
	for _, reason := range []string{"total", "page", "client", "parked", "draining", "descriptors"} {
		m.refusals.WithLabelValues(reason)
	}
	if r != nil {
		r.MustRegister(m.subscribers, m.frames, m.bytes, m.writes, m.fanout, m.skips, m.resumes, m.evictions, m.refusals, m.replays,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "statustail", Name: "channels", Help: "Channels open now."}, channels),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "statustail", Name: "message_store_bytes", Help: "Bytes of application events kept for readers that return, of all pages."}, kept))
	}
	return m
}

// joined counts a new subscriber that came with an id.
func (m *metrics) joined(r change.Recovery) {
	switch r {
	case change.Recovered:
		m.replays.WithLabelValues("true").Inc()
	case change.Unrecovered:
		m.replays.WithLabelValues("false").Inc()
	}
}

func (m *metrics) sent(frames, bytes, calls int) {
	m.writes.Add(float64(calls))
	m.frames.Add(float64(frames))
	m.bytes.Add(float64(bytes))
}
