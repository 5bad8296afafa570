package hund

import (
	"encoding/json"
	"fmt"
	"slices"
)

// A Told is one event as page code, or a program, is told of it.
type Told struct {
	Name string
	// Data is a Snapshot for init_event, a Ping for ping_event, Dropped for
	// messages_dropped, an Event for every other name of the protocol, and
	// what an application sent, as JSON, for every other name.
	Data any
}

// A State is what a reader of a stream knows. The zero State is ready for the
// first init_event. It is for one goroutine.
type State struct {
	// Snapshot is what is known; nil before the first init_event. Snapshots
	// are not changed once they are here.
	Snapshot *Snapshot
}

// Apply applies one event, and returns what it says. For an init_event that is
// not the first, that is the event and then the differences to what was known:
// a reader that was away hears of what it missed. An error means that the data
// is not of the protocol; the state is then unchanged.
func (s *State) Apply(name string, data []byte) ([]Told, error) {
	switch {
	case name == "init_event":
		var after Snapshot
		if err := json.Unmarshal(data, &after); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		told := []Told{{name, after}}
		if s.Snapshot != nil {
			told = append(told, Compare(*s.Snapshot, after)...)
		}
		s.Snapshot = &after
		return told, nil
	case name == "messages_dropped":
		var dropped Dropped
		if err := json.Unmarshal(data, &dropped); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return []Told{{name, dropped}}, nil
	case name == "ping_event":
		var ping Ping
		if err := json.Unmarshal(data, &ping); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if s.Snapshot != nil {
			after := *s.Snapshot
			after.Common, after.Freshness = ping.Common, ping.Freshness
			s.Snapshot = &after
		}
		return []Told{{name, ping}}, nil
	case Standard(name):
		var e Event
		if err := json.Unmarshal(data, &e); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if s.Snapshot != nil {
			after := s.Snapshot.with(name, e)
			s.Snapshot = &after
		}
		return []Told{{name, e}}, nil
	}
	return []Told{{name, json.RawMessage(data)}}, nil
}

// with is the snapshot after an event.
func (s Snapshot) with(name string, e Event) Snapshot {
	s.Common = e.Common
	id, issue := "", e.Issue
	if issue != nil {
		id = issue.ID
	}
	if u := e.Update; u != nil {
		id, issue = u.IssueID, u.Issue
	}
	switch {
	case id == "":
	case name == "issue_updated":
		s.Issues = slices.Clone(s.Issues)
		for i := range s.Issues {
			if is := &s.Issues[i]; is.ID == id {
				news := func(u Update) bool { return u.ID == e.Update.ID }
				is.Updates = append([]Update{*e.Update}, slices.DeleteFunc(slices.Clone(is.Updates), news)...)
			}
		}
	default:
		s.Issues = slices.DeleteFunc(slices.Clone(s.Issues), func(is Issue) bool { return is.ID == id })
		if closes := name == "issue_resolved" || name == "issue_cancelled" || name == "issue_ended"; !closes && issue != nil {
			s.Issues = append([]Issue{*issue}, s.Issues...)
		}
	}
	if e.Status != nil {
		s = s.withStatus(*e.Status)
	}
	return s
}

func (s Snapshot) withStatus(c StatusChange) Snapshot {
	s.Components = slices.Clone(s.Components)
	for i := range s.Components {
		if s.Components[i].ID == c.ComponentID {
			s.Components[i] = c.Component
		}
	}
	s.Issues = slices.Clone(s.Issues)
	for i := range s.Issues {
		is := &s.Issues[i]
		is.Components = slices.Clone(is.Components)
		for k := range is.Components {
			if is.Components[k].ID == c.ComponentID {
				is.Components[k].State = c.State
			}
		}
	}
	return s
}

// Compare says what happened between two snapshots of one page, in the words
// of the stream: status_created, issue_created, issue_updated, issue_resolved,
// degraded and restored, the oldest first. The widget tells page code the same
// of issues. An issue that is no longer there counts as resolved: a snapshot
// does not say how it ended. What was edited is told of by no event.
func Compare(before, after Snapshot) (told []Told) {
	tell := func(name string, e Event) {
		e.Common = after.Common
		told = append(told, Told{name, e})
	}
	for _, c := range after.Components {
		if old := find(before.Components, func(o Component) bool { return o.ID == c.ID }); old != nil && !same(old.State, c.State) {
			tell("status_created", Event{Status: &StatusChange{ComponentID: c.ID, Component: c, State: three(c.State)}})
		}
	}
	for _, is := range news(after.Issues, before.Issues, issueID) {
		tell("issue_created", Event{Issue: &is})
	}
	for _, u := range news(updates(after), updates(before), updateID) {
		tell("issue_updated", Event{Update: &u})
	}
	for _, is := range news(before.Issues, after.Issues, issueID) {
		tell("issue_resolved", Event{Issue: &is})
	}
	switch was, is := affected(before.State), affected(after.State); {
	case is && !was:
		tell("degraded", Event{})
	case was && !is:
		tell("restored", Event{})
	}
	return told
}

// news lists, last first, what has an id that none of the known has.
func news[T any](list, known []T, id func(T) string) (news []T) {
	for _, x := range slices.Backward(list) {
		if find(known, func(k T) bool { return id(k) == id(x) }) == nil {
			news = append(news, x)
		}
	}
	return news
}

func issueID(is Issue) string { return is.ID }

func updateID(u Update) string { return u.ID }

func updates(s Snapshot) (all []Update) {
	for _, is := range s.Issues {
		all = append(all, is.Updates...)
	}
	return all
}

func find[T any](list []T, is func(T) bool) *T {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return &list[i]
	}
	return nil
}

func same(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func affected(state *string) bool { return state != nil && *state != "operational" }

// three is a state of the component list in Hund's own words.
func three(state *string) *string {
	if state == nil {
		return nil
	}
	switch *state {
	case "partial_outage":
		return orNull("outage")
	case "maintenance":
		return orNull("operational")
	}
	return state
}
