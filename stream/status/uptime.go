package status

import (
	"fmt"
	"slices"
	"time"
)

// A record is the history that uptime and the incident-free streak are made
// of. Both are functions of it and of the clock, so a view can answer for any
// moment after it was made.
type record struct {
	down []span // merged, in order
	// born is when the page or component came into being; zero: not known.
	born time.Time
	// incident is set while one stands; lastIncident is when the newest one
	// ended, zero where none is known.
	incident     bool
	lastIncident time.Time
}

// A span is a stretch of time; a zero end is open.
type span struct{ from, to time.Time }

// PercentUptime is the share, in percent, of the Window before now in which
// the state was not an outage. Maintenance is planned and does not count;
// neither do degraded and partial outage. It is rounded down, to four
// decimals, so that it is 100 only where there was no outage at all. Where
// nothing is known (the state is Pending), it is 100 and means nothing.
func (v View) PercentUptime(now time.Time) float64 {
	var down time.Duration
	for _, s := range clip(v.rec.down, now) {
		down += s.to.Sub(s.from)
	}
	// In whole numbers, which have no rounding of their own.
	up := (Window - down).Microseconds()
	return float64(up*100*percentScale/Window.Microseconds()) / percentScale
}

// percentScale is how many parts of a percent PercentUptime tells apart. The
// microseconds of a Window, times 100 of them, fit 64 bits.
const percentScale = 10_000

// FormatPercent writes what PercentUptime gave as it is shown: with two
// decimals, rounded down, so that only 100 reads "100.00".
func FormatPercent(percent float64) string {
	hundredths := int64(percent*percentScale+0.5) * 100 / percentScale
	return fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
}

// LastIncident is when the newest incident ended. It is zero while one
// stands, and when there has been none.
func (v View) LastIncident() time.Time {
	if v.rec.incident {
		return time.Time{}
	}
	return v.rec.lastIncident
}

// IncidentFreeSince is LastIncident or, where there has been no incident, when
// the page or component came into being. It is zero while an incident stands,
// and when nothing is known.
func (v View) IncidentFreeSince() time.Time {
	if v.rec.incident {
		return time.Time{}
	}
	return orElse(v.rec.lastIncident, v.rec.born)
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
	return p.recordOf("", p.CreatedAt, p.Components, all, now)
}

func (p *Page) componentRecord(id string, own []IssueView, now time.Time) record {
	i := slices.IndexFunc(p.Components, func(c Component) bool { return c.ID == id })
	return p.recordOf(id, orElse(p.Components[i].CreatedAt, p.CreatedAt), p.Components[i:i+1], own, now)
}

func (p *Page) recordOf(scope string, born time.Time, components []Component, issues []IssueView, now time.Time) record {
	r := p.incidents(issues, scope)
	for i := range components {
		r.down = append(r.down, components[i].down()...)
	}
	for i := range issues {
		r.down = append(r.down, issues[i].down()...)
	}
	r.down = merge(r.down, now)
	r.born = born
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
			if iv.happened() {
				r.lastIncident = later(r.lastIncident, iv.end())
			}
		}
	}
	for id, end := range p.PastIncidents {
		if component == "" || id == component {
			r.lastIncident = later(r.lastIncident, end)
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
// from its beginning, each update's from then on, but for the times in which
// it was resolved and had not been reopened yet.
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
	var over []span
	for _, u := range slices.Backward(i.Updates) { // oldest first
		if !u.ResolvedAt.IsZero() {
			over = append(over, span{u.ResolvedAt, u.CreatedAt})
		}
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
	for _, gap := range over {
		spans = without(spans, gap)
	}
	return spans
}

// without cuts a stretch out of spans.
func without(spans []span, gap span) []span {
	var left []span
	for _, s := range spans {
		open := s.to.IsZero()
		if !gap.to.After(s.from) || !open && !gap.from.Before(s.to) {
			left = append(left, s)
			continue
		}
		if gap.from.After(s.from) {
			left = append(left, span{s.from, gap.from})
		}
		if open || gap.to.Before(s.to) {
			left = append(left, span{gap.to, s.to})
		}
	}
	return left
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
	return a.incident == b.incident && a.lastIncident.Equal(b.lastIncident) && a.born.Equal(b.born) &&
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
