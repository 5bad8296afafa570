package schema

import "time"

// What clients of a stream can take: many read lines into buffers of 64 KB
// (Go's bufio.Scanner is one), and an event is one line. These bounds keep an
// event, with all that stands around it, below that.
const (
	// MaxData is the most that an event may carry, in bytes of JSON as it is
	// sent: compact, with <, > and & escaped.
	MaxData = 48 << 10
	// MaxKey is the longest key of an event, in bytes.
	MaxKey = 256
)

// What people write, in bytes.
const (
	// MaxName bounds names, titles, labels and groups: what is one line.
	MaxName = 500
	// MaxBody bounds descriptions, bodies and the bodies of updates: some
	// three thousand words. No more of one is rendered, because a Markdown
	// parser takes time quadratic in hostile input.
	MaxBody = 16 << 10
	// MaxURL is what browsers and proxies can be relied on to take.
	MaxURL = 2000
	// MaxHost is the longest host name (RFC 1035, 2.3.4), without the dots at
	// both ends.
	MaxHost = 253
)

// How long lists become that are pushed to. A document is read whole at every
// change of its page, and holds 16 MB at most. So whatever pushes cuts the
// oldest off ($push with $each and $slice), and no more is read.
const (
	// MaxHistory is how many changes of its state a component remembers: one
	// every 45 minutes over the 30 days that count for uptime.
	MaxHistory = 1000
	// MaxUpdates is how many entries the story of an issue has.
	MaxUpdates = 250
)

// EventLife is how long events stay in the database: longer than any window
// of replay.
const EventLife = 24 * time.Hour
