package status

import (
	"math"
	"slices"
	"time"
)

// A record is the history that uptime and the incident-free streak are made
// of. Both are functions of it and of the clock, so a view can answer for any
// moment after it was made.
type record struct {
	down []span // merged, in order
	// incident is set while one stands; incidentEnd is when the newest one
	// ended, or, where there was none, when the page or component came into
	// being (zero: not known).
	incident    bool
	incidentEnd time.Time
}

// A span is a stretch of time; a zero end is open.
type span struct{ from, to time.Time }

// PercentUptime is the share, in percent, of the Window before now in which
// the state was not an outage. Maintenance is planned and does not count;
// neither do degraded and partial outage. Rounded to four decimals.
func (v View) PercentUptime(now time.Time) float64 {
	var down time.Duration
	for _, s := range clip(v.rec.down, now) {
		down += s.to.Sub(s.from)
	}
	percent := 100 * (1 - float64(down)/float64(Window))
	return math.Round(percent*1e4) / 1e4
}

// IncidentFreeSince is when the last incident ended, or, without any, when
// the page or component came into being. It is zero while an incident
// stands, and when nothing is known.
func (v View) IncidentFreeSince() time.Time {
	if v.rec.incident {
		return time.Time{}
	}
	return v.rec.incidentEnd
}

// IncidentFreeStreak is how long ago IncidentFreeSince was; never negative.
func (v View) IncidentFreeStreak(now time.Time) time.Duration {
	since := v.IncidentFreeSince()
	if since.IsZero() || now.Before(since) {
		return 0
	}
	return now.Sub(since)
}

func (p *Page) record(all []IssueView, now time.Time) record {
	r := p.incidents(all, "")
	r.incidentEnd = orElse(r.incidentEnd, p.CreatedAt)
	var down []span
	for i := range p.Components {
		down = append(down, p.Components[i].down()...)
	}
	for i := range all {
		down = append(down, all[i].down()...)
	}
	r.down = merge(down, now)
	return r
}

func (p *Page) componentRecord(id string, own []IssueView, now time.Time) record {
	r := p.incidents(own, id)
	i := slices.IndexFunc(p.Components, func(c Component) bool { return c.ID == id })
	c := &p.Components[i]
	born := c.CreatedAt
	if born.IsZero() {
		born = p.CreatedAt
	}
	r.incidentEnd = orElse(r.incidentEnd, born)
	down := c.down()
	for i := range own {
		down = append(down, own[i].down()...)
	}
	r.down = merge(down, now)
	return r
}

// incidents finds whether one stands and when the newest ended, among the
// issues given and the past ones of the component (of all, for an empty id).
func (p *Page) incidents(issues []IssueView, component string) record {
	var r record
	for i := range issues {
		iv := &issues[i]
		if iv.Kind != Incident {
			continue
		}
		switch iv.Phase {
		case Standing:
			r.incident = true
		case Resolved, Ended:
			r.incidentEnd = later(r.incidentEnd, iv.end())
		}
	}
	for id, end := range p.PastIncidents {
		if component == "" || id == component {
			r.incidentEnd = later(r.incidentEnd, end)
		}
	}
	return r
}

// down are the stretches in which the component's own history says outage.
func (c *Component) down() []span {
	history := slices.Clone(c.History)
	slices.SortStableFunc(history, func(a, b StateChange) int { return a.At.Compare(b.At) })
	var spans []span
	for i, h := range history {
		if h.State != Outage {
			continue
		}
		s := span{from: h.At}
		if i+1 < len(history) {
			s.to = history[i+1].At
		}
		spans = append(spans, s)
	}
	return spans
}

// down are the stretches in which the issue meant an outage: its own state
// from its beginning, each update's from then on.
func (i IssueView) down() []span {
	begin, end := i.begin(), i.end()
	if begin.IsZero() || i.Kind == Maintenance || i.Phase == Cancelled {
		return nil
	}
	var spans []span
	state, from := i.State, begin
	until := func(t time.Time) {
		if state == Outage && (t.IsZero() || t.After(from)) {
			spans = append(spans, span{from, t})
		}
	}
	for _, u := range slices.Backward(i.Updates) { // oldest first
		if u.State == Pending {
			continue
		}
		if !end.IsZero() && u.CreatedAt.After(end) {
			break
		}
		at := later(u.CreatedAt, begin)
		until(at)
		state, from = u.State, at
	}
	until(end)
	return spans
}

// merge orders spans, joins those that touch, and drops what lies before the
// window that ends at now.
func merge(spans []span, now time.Time) []span {
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	var merged []span
	for _, s := range spans {
		if !s.to.IsZero() && (!s.to.After(now.Add(-Window)) || !s.to.After(s.from)) {
			continue
		}
		if n := len(merged); n > 0 && (merged[n-1].to.IsZero() || !s.from.After(merged[n-1].to)) {
			if s.to.IsZero() {
				merged[n-1].to = time.Time{}
			} else if !merged[n-1].to.IsZero() {
				merged[n-1].to = later(merged[n-1].to, s.to)
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// clip cuts spans to the window that ends at now.
func clip(spans []span, now time.Time) []span {
	start := now.Add(-Window)
	var cut []span
	for _, s := range spans {
		if s.to.IsZero() || s.to.After(now) {
			s.to = now
		}
		s.from = later(s.from, start)
		if s.from.Before(s.to) {
			cut = append(cut, s)
		}
	}
	return cut
}

// sameRecord reports whether two records differ in nothing but the passing
// of time up to now.
func sameRecord(a, b record, now time.Time) bool {
	return a.incident == b.incident && a.incidentEnd.Equal(b.incidentEnd) &&
		slices.EqualFunc(clip(a.down, now), clip(b.down, now), func(x, y span) bool {
			return x.from.Equal(y.from) && x.to.Equal(y.to)
		})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func orElse(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}
