// Package hund speaks the Hund Live Event Stream v2, the vocabulary in which
// browsers are told of a status page: it turns views and events into JSON and
// into SSE frames, with the additive fields of our own. Clients written for
// Hund.io's streams work unchanged.
//
// It is pure. It must never know who subscribes, how frames are sent, or
// where views come from.
//
// The source of the vocabulary is Hund.io's public knowledge base ("Live
// Event Streams") and its open-source widget, status.js 3.9.0.
package hund

import (
	"time"

	"statustail/stream/status"
)

// An Encoder encodes. Its zero value is ready to use.
type Encoder struct {
	// PingInterval is announced to clients, so that they can tell a silent
	// connection from a quiet one. Zero leaves it out.
	PingInterval time.Duration
}

// Init is the event that every connection begins with: the whole state.
// recovered is nil on a fresh connection and otherwise says whether
// everything since the client's last event id was replayed. stale is when the
// state was last known to be true, zero while it is.
func (e Encoder) Init(v status.View, now time.Time, recovered *bool, stale time.Time) []byte {
	doc := e.document(v, now, stale)
	doc.Recovered = recovered
	return frame("init_event", doc)
}

// Events encodes differences: one frame each, all with the state of v, the
// view they lead to.
func (e Encoder) Events(v status.View, events []status.Event, now, stale time.Time) [][]byte {
	frames := make([][]byte, 0, len(events))
	for _, ev := range events {
		if ev.Kind == status.Init {
			frames = append(frames, e.Init(v, now, nil, stale))
			continue
		}
		frames = append(frames, frame(eventNames[ev.Kind], eventOf(v, ev, now)))
	}
	return frames
}

// Ping is the event that shows that the connection is alive, and, by live and
// stale_since, whether the state is.
func (e Encoder) Ping(v status.View, now, stale time.Time) []byte {
	return frame("ping_event", ping{
		common:    commonOf(v, now),
		At:        now.Unix(),
		freshness: freshnessOf(stale),
	})
}

// Message is an application event. Its name and data must have been checked:
// neither may hold a line break.
func (e Encoder) Message(name string, data []byte) []byte {
	return rawFrame(name, data)
}

var eventNames = map[status.EventKind]string{
	status.Init:           "init_event",
	status.StatusCreated:  "status_created",
	status.PageDegraded:   "degraded",
	status.PageRestored:   "restored",
	status.IssueCreated:   "issue_created",
	status.IssueUpdated:   "issue_updated",
	status.IssueResolved:  "issue_resolved",
	status.IssueReopened:  "issue_reopened",
	status.IssueCancelled: "issue_cancelled",
	status.IssueStarted:   "issue_started",
	status.IssueEnded:     "issue_ended",
	status.CacheRebuilt:   "cache_rebuilt",
}
