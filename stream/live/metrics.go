package live

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	live        prometheus.Gauge
	matched     prometheus.Counter
	loads       prometheus.Counter
	reloaded    prometheus.Counter
	loadErrors  prometheus.Counter
	loadSeconds prometheus.Histogram
	published   prometheus.Counter
	absent      prometheus.Counter
}

func newMetrics(r prometheus.Registerer) metrics {
	f := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	return metrics{
		live:       gauge("statustail_live_pages", "Pages held in memory because somebody looks at them."),
		matched:    counter("statustail_hints_matched_total", "Hints that concerned a live page."),
		loads:      counter("statustail_loads_total", "Batches of pages read from the database."),
		reloaded:   counter("statustail_pages_loaded_total", "Pages read from the database."),
		loadErrors: counter("statustail_load_errors_total", "Reads of the database that failed."),
		loadSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "statustail_load_seconds", Help: "Time that one batch took to read.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		published: counter("statustail_events_published_total", "Events published, each counted once however many subscribers it has."),
		absent:    counter("statustail_unknown_pages_total", "Requests for unknown pages answered from memory."),
	}
}
