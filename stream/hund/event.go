package hund

import (
	"time"

	"statustail/stream/status"
)

type event struct {
	common
	Status *statusChange `json:"status,omitempty"`
	Issue  *issue        `json:"issue,omitempty"`
	Update *update       `json:"update,omitempty"`
}

// statusChange names a component and its state: in Hund's words beside it, in
// the component list's words inside.
type statusChange struct {
	ComponentID string    `json:"component_id"`
	Component   component `json:"component"`
	State       *string   `json:"state"`
}

func eventOf(v status.View, ev status.Event, now time.Time) event {
	out := event{common: commonOf(v, now)}
	if c := ev.Component; c != nil {
		out.Status = &statusChange{ComponentID: c.ID, Component: componentOf(*c), State: threeWords(c.State)}
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
func reopening(ev status.Event) *update {
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
