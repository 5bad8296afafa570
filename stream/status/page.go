// Package status is the vocabulary of a status page and its rules: what a
// page, a component, an issue and an update are, what they amount to at a
// given moment (Page.At), and what changed between two moments (Diff).
//
// It is pure: it does no I/O and reads no clock. It must never know how pages
// are stored, how a difference is encoded, or who is told of it.
package status

import (
	"time"

	"statustail/stream/markdown"
)

// A Page is everything known about one status page, as the database has it.
// Optional times are zero when absent.
type Page struct {
	ID       string // its slug
	Name     string
	URL      string
	Hosts    []string // custom domains, lower case
	Origins  []string // where it may be embedded; "*" is anywhere
	Private  bool
	Locale   string
	TimeZone string

	CreatedAt time.Time

	// Components, in any order.
	Components []Component
	// Issues that are standing, upcoming, or were over no longer than
	// Window ago, in any order.
	Issues []Issue
	// PastIncidents holds when the newest incident ended among those too old
	// to be in Issues: under a component's id, of those that name it; under
	// the empty id, of all.
	PastIncidents map[string]time.Time
}

// A Text is prose in its two forms.
type Text struct {
	HTML  markdown.HTML
	Plain string
}

// A Component is a part of the service that has a state of its own.
type Component struct {
	ID          string
	Name        string
	Description Text
	Group       string
	Position    int
	State       State
	// History is when State became what, in any order. Uptime counts only
	// what stands here.
	History   []StateChange
	CreatedAt time.Time
}

// A StateChange is the moment a component entered a state.
type StateChange struct {
	State State
	At    time.Time
}

// A Kind is what sort of thing an issue is.
type Kind string

const (
	Incident      Kind = "incident"
	Maintenance   Kind = "maintenance"
	Informational Kind = "informational"
)

// An Issue is something that the visitors of a page should know.
type Issue struct {
	ID    string
	Title string
	Body  Text
	Label string
	Kind  Kind
	// State is what the issue does to its components until an update says
	// otherwise; Pending when it does nothing.
	State      State
	Components []string // ids
	Schedule   *Schedule
	Progress   *int // 0 to 100

	CreatedAt   time.Time
	UpdatedAt   time.Time
	BeganAt     time.Time
	EndedAt     time.Time
	ResolvedAt  time.Time
	CancelledAt time.Time

	Updates []Update // in any order
}

// A Schedule is when something planned is to happen. A zero EndsAt is open.
type Schedule struct {
	StartsAt time.Time
	EndsAt   time.Time
}

// An Update is one entry of an issue's story.
type Update struct {
	ID        string
	Label     string
	Body      Text
	State     State // what the issue does from here on; Pending: unchanged
	CreatedAt time.Time
	// ResolvedAt is set on an update that reopens the issue: from then to
	// CreatedAt it was over, and that time is no downtime.
	ResolvedAt time.Time
}
