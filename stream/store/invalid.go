package store

import (
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"statustail/stream/schema"
)

// maxRemembered bounds the complaints that are remembered as made. Beyond it
// all are forgotten, and made again.
const maxRemembered = 4096

// invalidDocuments tells of documents that do not fit the schema: each is
// logged once for each thing that is wrong with it, and counted every time it
// is met, so that the rate stays visible while one is there.
type invalidDocuments struct {
	log   *slog.Logger
	count *prometheus.CounterVec

	mu   sync.Mutex
	told map[complaint]struct{}
}

type complaint struct{ collection, id, reason string }

func newInvalidDocuments(log *slog.Logger, reg prometheus.Registerer) *invalidDocuments {
	v := &invalidDocuments{
		log: log,
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "statustail_invalid_documents_total",
			Help: "Documents, or elements in them, skipped while reading because they do not fit the schema.",
		}, []string{"collection"}),
		told: map[complaint]struct{}{},
	}
	for _, collection := range []string{schema.Pages, schema.Components, schema.Issues} { // a first count would be no increase
		v.count.WithLabelValues(collection)
	}
	if reg != nil {
		reg.MustRegister(v.count)
	}
	return v
}

// skipped reports that a document, or what the reason names in it, was left
// out.
func (v *invalidDocuments) skipped(collection, id string, reason error) {
	v.count.WithLabelValues(collection).Inc()
	c := complaint{collection, clip(id), clip(reason.Error())}
	v.mu.Lock()
	_, told := v.told[c]
	if !told {
		if len(v.told) >= maxRemembered {
			clear(v.told)
		}
		v.told[c] = struct{}{}
	}
	v.mu.Unlock()
	if !told {
		v.log.Warn("document does not fit the schema, skipped",
			"collection", c.collection, "id", c.id, "reason", c.reason)
	}
}

// clip bounds what a stranger's document can put into the log and into
// memory.
func clip(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
