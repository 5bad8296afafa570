package hund

import (
	"time"

	"statustail/stream/status"
)

// An Event is the data of every event of the protocol that is neither
// init_event nor ping_event.
type Event struct {
	Common
	Status *StatusChange `json:"status,omitempty"`
	Issue  *Issue        `json:"issue,omitempty"`
	Update *Update       `json:"update,omitempty"`
}

// A StatusChange names a component and its state: in Hund's words beside it,
// in the component list's words inside.
type StatusChange struct {
	ComponentID string    `json:"component_id"`
	Component   Component `json:"component"`
	State       *string   `json:"state"`
}

// Dropped is the data of messages_dropped.
type Dropped struct {
	// Count is how many messages were left out of what follows a resume.
	Count int `json:"count"`
}

func eventOf(v status.View, ev status.Event, now time.Time) Event {
	out := Event{Common: commonOf(v, now)}
	if c := ev.Component; c != nil {
		out.Status = &StatusChange{ComponentID: c.ID, Component: componentOf(*c), State: threeWords(c.State)}
	}
	if ev.Issue == nil {
		return out
	}
	if ev.Kind == status.IssueReopened {
		out.Update = reopening(ev)
		return out
	}
	// A client looks for the update first: what has one needs no issue.
	if ev.Update != nil {
		u := updateOf(ev.Issue.ID, *ev.Update)
		out.Update = &u
		return out
	}
	is := issueOf(*ev.Issue)
	out.Issue = &is
	return out
}

// reopening is the update of issue_reopened, with the whole issue inside.
// Where somebody reopened an issue without a word, it is an empty update.
func reopening(ev status.Event) *Update {
	u := status.Update{CreatedAt: ev.Issue.UpdatedAt}
	if u.CreatedAt.IsZero() {
		u.CreatedAt = ev.Issue.CreatedAt
	}
	if ev.Update != nil {
		u = *ev.Update
	}
	out := updateOf(ev.Issue.ID, u)
	is := issueOf(*ev.Issue)
	out.Issue = &is
	return &out
}
