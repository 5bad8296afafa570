package hund

import (
	"time"

	"statustail/stream/status"
)

// common is the state that every event carries.
type common struct {
	State              *string `json:"state"`
	PercentUptime      float64 `json:"percent_uptime"`
	IncidentFreeStreak int64   `json:"incident_free_streak"`
}

func commonOf(v status.View, now time.Time) common {
	return common{
		State:              threeWords(v.State),
		PercentUptime:      v.PercentUptime(now),
		IncidentFreeStreak: int64(v.IncidentFreeStreak(now) / time.Second),
	}
}

type freshness struct {
	Live       bool   `json:"live"`
	StaleSince *int64 `json:"stale_since,omitempty"`
}

func freshnessOf(stale time.Time) freshness {
	return freshness{Live: stale.IsZero(), StaleSince: unix(stale)}
}

type ping struct {
	common
	At int64 `json:"at"`
	freshness
}

// document is the data of init_event, and of state.json.
type document struct {
	common
	IncidentFreeSince *int64      `json:"incident_free_since"`
	Page              page        `json:"page"`
	Components        []component `json:"components"`
	Issues            []issue     `json:"issues"`
	PingInterval      float64     `json:"ping_interval,omitempty"`
	Recovered         *bool       `json:"recovered,omitempty"`
	freshness
}

type page struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	URL    string `json:"url"`
	Locale string `json:"locale"`
}

type component struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	Group       string  `json:"group"`
	State       *string `json:"state"`
}

type issue struct {
	ID         string           `json:"id"`
	Title      string           `json:"title"`
	Body       string           `json:"body"`
	BodyText   string           `json:"body_text"`
	Label      string           `json:"label"`
	Kind       string           `json:"kind"`
	State      *string          `json:"state"`
	Progress   *int             `json:"progress"`
	Components []issueComponent `json:"components"`
	Standing   bool             `json:"standing"`
	Scheduled  bool             `json:"scheduled"`
	CreatedAt  int64            `json:"created_at"`
	StartsAt   *int64           `json:"starts_at,omitempty"`
	EndsAt     *int64           `json:"ends_at,omitempty"`
	Updates    []update         `json:"updates"`
}

type issueComponent struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	State       *string `json:"state"`
}

type update struct {
	ID        string  `json:"id"`
	IssueID   string  `json:"issue_id"`
	Body      string  `json:"body"`
	BodyText  string  `json:"body_text"`
	Label     string  `json:"label"`
	State     *string `json:"state"`
	CreatedAt int64   `json:"created_at"`
	Issue     *issue  `json:"issue,omitempty"`
}

func (e Encoder) document(v status.View, now, stale time.Time) document {
	doc := document{
		common:            commonOf(v, now),
		IncidentFreeSince: unix(v.LastIncident()),
		Page:              page{v.Page.ID, v.Page.Name, v.Page.URL, v.Page.Locale},
		Components:        make([]component, 0, len(v.Components)),
		Issues:            make([]issue, 0, len(v.Issues)),
		PingInterval:      e.PingInterval.Seconds(),
		freshness:         freshnessOf(stale),
	}
	for _, c := range v.Components {
		doc.Components = append(doc.Components, componentOf(c))
	}
	for _, iv := range v.Issues {
		doc.Issues = append(doc.Issues, issueOf(iv))
	}
	return doc
}

func componentOf(c status.ComponentView) component {
	return component{
		ID: c.ID, Name: c.Name, Description: orNull(c.Description.HTML.String()), Group: c.Group,
		State: fiveWords(c),
	}
}

func issueOf(iv status.IssueView) issue {
	is := issue{
		ID: iv.ID, Title: iv.Title, Body: iv.Body.HTML.String(), BodyText: iv.Body.Plain,
		Label: iv.Label, Kind: string(iv.Kind), State: orNull(iv.State.String()), Progress: iv.Progress,
		Components: make([]issueComponent, 0, len(iv.Affected)),
		Standing:   iv.Phase == status.Standing,
		Scheduled:  iv.Schedule != nil,
		CreatedAt:  iv.CreatedAt.Unix(),
		Updates:    make([]update, 0, len(iv.Updates)),
	}
	if iv.Schedule != nil {
		is.StartsAt, is.EndsAt = unix(iv.Schedule.StartsAt), unix(iv.Schedule.EndsAt)
	}
	for _, c := range iv.Affected {
		is.Components = append(is.Components, issueComponent{
			ID: c.ID, Name: c.Name, Description: orNull(c.Description.HTML.String()), State: threeWords(c.State),
		})
	}
	for _, u := range iv.Updates {
		is.Updates = append(is.Updates, updateOf(iv.ID, u))
	}
	return is
}

func updateOf(issueID string, u status.Update) update {
	return update{
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
