// Package hund speaks the Hund Live Event Stream v2, the vocabulary in which
// browsers are told of a status page: it turns views and events into JSON and
// into SSE frames, with the additive fields of our own. Clients written for
// Hund.io's streams work unchanged.
//
// Its types are what the stream says, for programs that read it: State applies
// events, and Compare says what a snapshot has that another had not.
//
// It is pure. It must never know who subscribes, how frames are sent, or
// where views come from.
//
// The source of the vocabulary is Hund.io's public knowledge base ("Live
// Event Streams") and its open-source widget, status.js 3.9.0.
package hund

import (
	"crypto/sha256"
	"encoding/base64"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

// An Encoder encodes. Its zero value is ready to use.
type Encoder struct {
	// PingInterval is announced to clients, so that they can tell a silent
	// connection from a quiet one. Zero leaves it out.
	PingInterval time.Duration
}

// Facts encodes what of the state of a view the clock alone does not change:
// the large part of init_event and of state.json. It is made once for every
// change, and goes into what Init and State return.
//
// It is at most MaxFacts bytes as long as there are not too many components
// and issues in all: what is left out for that, and still there at the issue's
// own URL, is said by truncated.
func (e Encoder) Facts(v status.View, m change.Moment) []byte {
	facts := bounded(e.facts(v, m))
	facts[0] = ',' // more stands before it
	return facts
}

// Init is the event that every connection begins with, the whole state, in
// parts.
func (e Encoder) Init(v status.View, facts []byte, m change.Moment, r change.Recovery) [][]byte {
	head := append([]byte("event: init_event\ndata: "), openCommon(v, m)...)
	switch r {
	case change.Recovered:
		head = append(head, `,"recovered":true`...)
	case change.Unrecovered:
		head = append(head, `,"recovered":false`...)
	}
	return [][]byte{head, facts, frameEnd}
}

// State is the document of state.json, in parts: the data of a fresh
// init_event.
func (e Encoder) State(v status.View, facts []byte, m change.Moment) [][]byte {
	return [][]byte{openCommon(v, m), facts}
}

// openCommon is the beginning of an object: what every event carries, without
// the last brace.
func openCommon(v status.View, m change.Moment) []byte {
	common := marshal(commonOf(v, m.Now))
	return common[:len(common)-1]
}

// Tag is an entity tag over the state without uptime and streak, which change
// by themselves all the time. It is weak (RFC 9110, 8.8.1): two documents
// with one tag are equivalent, not the same bytes.
func (e Encoder) Tag(v status.View, facts []byte) string {
	h := sha256.New()
	h.Write([]byte(v.State.String()))
	h.Write(facts)
	return `W/"` + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12]) + `"`
}

// Event encodes one difference, of any kind but Init, with the state of v, the
// view that it leads to.
func (e Encoder) Event(v status.View, ev status.Event, m change.Moment) []byte {
	return frame(eventNames[ev.Kind], eventOf(v, ev, m.Now))
}

// Ping is the event that shows that the connection is alive, and, by live and
// stale_since, whether the state is.
func (e Encoder) Ping(v status.View, m change.Moment) []byte {
	return frame("ping_event", Ping{Common: commonOf(v, m.Now), At: m.Now.Unix(), Freshness: freshnessOf(m)})
}

// Dropped says that n messages were left out of what a reader is sent that
// comes back.
func (e Encoder) Dropped(n int) []byte { return frame("messages_dropped", Dropped{n}) }

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

// Standard reports whether an event is one of the protocol's own.
func Standard(name string) bool {
	if name == "ping_event" || name == "cache_grown" {
		return true
	}
	for _, own := range eventNames {
		if name == own {
			return true
		}
	}
	return false
}
