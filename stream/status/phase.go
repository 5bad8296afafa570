package status

import (
	"fmt"
	"slices"
	"time"
)

// A Phase is where in its life an issue is.
type Phase uint8

const (
	Upcoming Phase = iota // scheduled, not started
	Standing              // affects now
	Resolved
	Cancelled
	Ended // a scheduled end has come
)

var phaseNames = [...]string{"upcoming", "standing", "resolved", "cancelled", "ended"}

func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

// Open reports whether the issue is standing or upcoming.
func (p Phase) Open() bool { return p == Upcoming || p == Standing }

// PhaseAt is the issue's phase at a moment. Only a schedule can lie in the
// future: that an issue was resolved, cancelled, ended or begun holds as soon
// as the database says so, whatever the writer's clock made of it.
func (i *Issue) PhaseAt(now time.Time) Phase {
	switch {
	case !i.CancelledAt.IsZero():
		return Cancelled
	case !i.ResolvedAt.IsZero():
		return Resolved
	case i.Schedule == nil:
		return Standing
	case !i.EndedAt.IsZero(), !i.Schedule.EndsAt.IsZero() && !now.Before(i.Schedule.EndsAt):
		return Ended
	case i.BeganAt.IsZero() && now.Before(i.Schedule.StartsAt):
		return Upcoming
	}
	return Standing
}

// next is when time alone will change the issue's phase; zero for never.
func (i *Issue) next(now time.Time) time.Time {
	switch i.PhaseAt(now) {
	case Upcoming:
		return earliest(i.Schedule.StartsAt, i.Schedule.EndsAt)
	case Standing:
		if i.Schedule != nil {
			return i.Schedule.EndsAt
		}
	}
	return time.Time{}
}

// Effective is what an issue does to its components now: the newest update
// that says so wins over the issue.
func (i IssueView) Effective() State {
	for _, u := range i.Updates {
		if u.State != Pending {
			return u.State
		}
	}
	return i.State
}

// begin is when the issue began to affect anything; zero when it has not.
func (i IssueView) begin() time.Time {
	switch {
	case i.Phase == Upcoming:
		return time.Time{}
	case !i.BeganAt.IsZero():
		return i.BeganAt
	case i.Schedule != nil:
		return i.Schedule.StartsAt
	}
	return i.CreatedAt
}

// end is when it ceased to; zero while it has not.
func (i IssueView) end() time.Time {
	switch {
	case i.Phase.Open():
		return time.Time{}
	case !i.EndedAt.IsZero():
		return i.EndedAt
	case i.Phase == Resolved:
		return i.ResolvedAt
	case i.Phase == Cancelled:
		return i.CancelledAt
	}
	return i.Schedule.EndsAt
}

// happened reports whether an issue that is over affected anything at all: one
// that was scheduled and ended before its start did not.
func (i IssueView) happened() bool {
	return i.Schedule == nil || i.end().After(i.begin())
}

// newestFirst orders updates by time; among equals, what was written later
// (stands later in the document) is newer.
func newestFirst(updates []Update) []Update {
	updates = slices.Clone(updates)
	slices.Reverse(updates)
	slices.SortStableFunc(updates, func(a, b Update) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return updates
}
