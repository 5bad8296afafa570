package hund

import (
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

// Common is the state that every event of the protocol carries.
type Common struct {
	State              *string `json:"state"` // operational, degraded, outage; nil: not known
	PercentUptime      float64 `json:"percent_uptime"`
	IncidentFreeStreak int64   `json:"incident_free_streak"` // seconds
}

func commonOf(v status.View, now time.Time) Common {
	return Common{
		State:              threeWords(v.State),
		PercentUptime:      v.PercentUptime(now),
		IncidentFreeStreak: int64(v.IncidentFreeStreak(now) / time.Second),
	}
}

// Freshness says whether the server knows what is true, and if not, since
// when.
type Freshness struct {
	Live       bool   `json:"live"`
	StaleSince *int64 `json:"stale_since,omitempty"` // Unix seconds, like every time here
}

func freshnessOf(m change.Moment) Freshness {
	return Freshness{Live: m.StaleSince.IsZero(), StaleSince: unix(m.StaleSince)}
}

// A Ping is the data of ping_event.
type Ping struct {
	Common
	At int64 `json:"at"`
	Freshness
}

// A Snapshot is the data of init_event, and of state.json: the whole state.
type Snapshot struct {
	Common
	// Recovered is whether every message after the id that the client came
	// with follows; nil where there was none.
	Recovered *bool `json:"recovered,omitempty"`
	Facts
}

// Facts are what a snapshot says that the clock alone does not change.
type Facts struct {
	IncidentFreeSince *int64      `json:"incident_free_since"`
	Page              Page        `json:"page"`
	Components        []Component `json:"components"`
	Issues            []Issue     `json:"issues"`                  // standing and upcoming, newest first
	PingInterval      float64     `json:"ping_interval,omitempty"` // seconds
	// Truncated says that updates or bodies of issues were shortened to fit.
	Truncated bool `json:"truncated,omitempty"`
	Freshness
}

// A Page is what identifies a status page.
type Page struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	URL    string `json:"url"`
	Locale string `json:"locale"`
}

// A Component is one of a page's list, whose states have five words.
type Component struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"` // HTML
	Group       string  `json:"group"`
	State       *string `json:"state"`
}

// An Issue is an incident, a maintenance or a word of information.
type Issue struct {
	ID         string           `json:"id"`
	Title      string           `json:"title"`
	Body       string           `json:"body"` // HTML
	BodyText   string           `json:"body_text"`
	Label      string           `json:"label"`
	Kind       string           `json:"kind"`
	State      *string          `json:"state"`
	Progress   *int             `json:"progress"` // 0 to 100
	Components []IssueComponent `json:"components"`
	Standing   bool             `json:"standing"`
	Scheduled  bool             `json:"scheduled"`
	CreatedAt  int64            `json:"created_at"`
	StartsAt   *int64           `json:"starts_at,omitempty"`
	EndsAt     *int64           `json:"ends_at,omitempty"`
	Updates    []Update         `json:"updates"` // newest first
	Truncated  bool             `json:"truncated,omitempty"`
}

// An IssueComponent is a component that an issue names, with a state of Hund's
// three words.
type IssueComponent struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"` // HTML
	State       *string `json:"state"`
}

// An Update is one entry of an issue's story.
type Update struct {
	ID        string  `json:"id"`
	IssueID   string  `json:"issue_id"`
	Body      string  `json:"body"` // HTML
	BodyText  string  `json:"body_text"`
	Label     string  `json:"label"`
	State     *string `json:"state"`
	CreatedAt int64   `json:"created_at"`
	Issue     *Issue  `json:"issue,omitempty"` // with issue_reopened
}

func (e Encoder) facts(v status.View, m change.Moment) Facts {
	facts := Facts{
		IncidentFreeSince: unix(v.LastIncident()),
		Page:              Page{v.Page.ID, v.Page.Name, v.Page.URL, v.Page.Locale},
		Components:        make([]Component, 0, len(v.Components)),
		Issues:            make([]Issue, 0, len(v.Issues)),
		PingInterval:      e.PingInterval.Seconds(),
		Freshness:         freshnessOf(m),
	}
	for _, c := range v.Components {
		facts.Components = append(facts.Components, componentOf(c))
	}
	for _, iv := range v.Issues {
		facts.Issues = append(facts.Issues, issueOf(iv))
	}
	return facts
}

func componentOf(c status.ComponentView) Component {
	return Component{
		ID: c.ID, Name: c.Name, Description: orNull(c.Description.HTML.String()), Group: c.Group,
		State: fiveWords(c),
	}
}

func issueOf(iv status.IssueView) Issue {
	is := Issue{
		ID: iv.ID, Title: iv.Title, Body: iv.Body.HTML.String(), BodyText: iv.Body.Plain,
		Label: iv.Label, Kind: string(iv.Kind), State: orNull(iv.State.String()), Progress: iv.Progress,
		Components: make([]IssueComponent, 0, len(iv.Affected)),
		Standing:   iv.Phase == status.Standing,
		Scheduled:  iv.Schedule != nil,
		CreatedAt:  iv.CreatedAt.Unix(),
		Updates:    make([]Update, 0, len(iv.Updates)),
	}
	if iv.Schedule != nil {
		is.StartsAt, is.EndsAt = unix(iv.Schedule.StartsAt), unix(iv.Schedule.EndsAt)
	}
	for _, c := range iv.Affected {
		is.Components = append(is.Components, IssueComponent{
			ID: c.ID, Name: c.Name, Description: orNull(c.Description.HTML.String()), State: threeWords(c.State),
		})
	}
	for _, u := range iv.Updates {
		is.Updates = append(is.Updates, updateOf(iv.ID, u))
	}
	return is
}

func updateOf(issueID string, u status.Update) Update {
	return Update{
		ID: u.ID, IssueID: issueID, Body: u.Body.HTML.String(), BodyText: u.Body.Plain, Label: u.Label,
		State: orNull(u.State.String()), CreatedAt: u.CreatedAt.Unix(),
	}
}

// threeWords is a state in Hund's own vocabulary, which has no partial
// outage.
func threeWords(s status.State) *string {
	if s == status.PartialOutage {
		s = status.Outage
	}
	return orNull(s.String())
}

// fiveWords is a component's state in the vocabulary of the component list.
func fiveWords(c status.ComponentView) *string {
	if c.Maintenance {
		return orNull("maintenance")
	}
	return orNull(c.State.String())
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func unix(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	s := t.Unix()
	return &s
}
