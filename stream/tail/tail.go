// Package tail follows the database for ever and yields what changed: hints
// (this document is not what it was) and messages (an application event),
// each with its position.
//
// It must never know what a status page is, who watches it, or what anybody
// does with a hint. It reports that something changed; it never reads what is
// true now.
package tail

import (
	"context"

	"statustail/stream/change"
)

// A Follower follows one database.
type Follower interface {
	// Follow passes what it finds to sink until ctx is done, and then returns
	// ctx's error. Whatever fails on the way is retried with a capped,
	// jittered backoff; only what can never succeed (a server without change
	// streams asked for one) is returned as an error at once.
	Follow(ctx context.Context, sink Sink) error
}

// A Sink takes what a follower finds. All calls come from one goroutine, in
// order. They must return soon: a sink that blocks holds up every page.
type Sink interface {
	// Opened is called when following begins, and again each time continuity
	// was lost (history gone, collection dropped, database dropped), after
	// the follower is open again, so that nothing falls between. Everything
	// at or after from will be passed on, and perhaps some of what lies
	// before it, without a promise. What lies at or before now, the
	// database's own position when it was opened, is history: it is passed
	// on for whoever resumes, but it is not news.
	//
	// A second call means that anything may have changed since the first. If
	// its now lies before what was reached, the database's clock has gone
	// back: no position from before means anything.
	Opened(from, now change.Position)

	Hint(change.Hint)
	Message(change.Message)

	// Reached says that every hint and message below or at p has been
	// passed on, apart from others at exactly p that share its time.
	// It is called after each batch, and now and then on a quiet database,
	// so it is also the follower's sign of life.
	Reached(p change.Position)

	// Lost says that the database cannot be followed at the moment, and why.
	// It is called once per outage; the next Opened or Reached ends it.
	Lost(err error)
}
