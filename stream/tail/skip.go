package tail

import (
	"errors"
	"log/slog"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
)

// maxSkipped is how many ids of skipped documents are remembered, so that
// each is logged once and not at every reopening.
const maxSkipped = 1024

// A reader turns documents of events into messages and accounts for those
// that it cannot.
type reader struct {
	log     *slog.Logger
	metrics *metrics

	skipped map[string]struct{}
	order   []string // of skipped, a ring
	next    int
}

func newReader(cfg Config, m *metrics) *reader {
	return &reader{log: cfg.logger(), metrics: m, skipped: make(map[string]struct{})}
}

// message reports false when the document is skipped.
func (r *reader) message(doc bson.Raw, at change.Position) (change.Message, bool) {
	m, err := message(doc, at)
	if err == nil {
		return m, true
	}
	r.skip(m.ID, err)
	return change.Message{}, false
}

// skip accounts for a document that is skipped.
func (r *reader) skip(id string, err error) {
	reason := "other"
	if fault := (*misfit)(nil); errors.As(err, &fault) {
		reason = fault.reason
	}
	r.metrics.skipped.WithLabelValues(reason).Inc()
	if !r.remember(id) {
		r.log.Warn("event skipped", "id", clip(id, 80), "reason", err)
	}
}

// remember reports whether it knew the id already.
func (r *reader) remember(id string) bool {
	id = clip(id, 200)
	if _, known := r.skipped[id]; known {
		return true
	}
	if len(r.order) < maxSkipped {
		r.order = append(r.order, id)
	} else {
		delete(r.skipped, r.order[r.next])
		r.order[r.next] = id
		r.next = (r.next + 1) % maxSkipped
	}
	r.skipped[id] = struct{}{}
	return false
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
