package live

import (
	"context"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

// A Loader reads the truth. Implementations must be safe for concurrent use,
// and end every call within a bounded time. after: everything up to it is
// reflected, 0 is any. An error that is change.ErrAhead says that after can
// never be reached.
type Loader interface {
	// Load reads pages. Those that do not exist are missing from the result.
	// at is the newest position that the reads can have reflected: a later
	// read after it does not go back.
	Load(ctx context.Context, slugs []string, after change.Position) (pages map[string]Reading, at change.Position, err error)
	// PastIncidents finds when the newest incident ended that is too old to be
	// in a page's Issues, by slug and id of a component, "" for the page.
	PastIncidents(ctx context.Context, wanted map[string][]string, after change.Position) (map[string]map[string]time.Time, error)
	// Hosts finds the pages of custom hosts, in lower case and without ports.
	Hosts(ctx context.Context, hosts []string, after change.Position) (slugs map[string]string, err error)
	// Issues reads single issues, however old.
	Issues(ctx context.Context, refs []IssueRef, after change.Position) (map[IssueRef]status.Issue, error)
}

// A Reading is what one load found of one page, not decoded.
type Reading struct {
	// Hash is the same for the same documents.
	Hash uint64
	// Decode makes the page, without PastIncidents. An error means that the
	// page exists but cannot be read.
	Decode func() (status.Page, error)
}

// An IssueRef is an issue's id as it stands in a URL, on a page.
type IssueRef struct{ Page, ID string }
