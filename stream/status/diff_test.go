package status

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func describe(events []Event) string {
	names := []string{"init", "status", "degraded", "restored", "created", "updated", "resolved", "reopened", "cancelled", "started", "ended", "rebuilt"}
	var out []string
	for _, e := range events {
		s := names[e.Kind]
		if e.Component != nil {
			s += " " + e.Component.ID
		}
		if e.Issue != nil {
			s += " " + e.Issue.ID
		}
		if e.Update != nil {
			s += " " + e.Update.ID
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestDiff(t *testing.T) {
	incident := Issue{ID: "i", Kind: Incident, CreatedAt: at(-30)}
	with := func(is Issue, change func(*Issue)) Issue { change(&is); return is }
	update := func(id string, minute int) Update { return Update{ID: id, Label: id, CreatedAt: at(minute)} }
	told := with(incident, func(is *Issue) { is.Updates = []Update{update("u1", -20)} })
	planned := with(incident, func(is *Issue) { is.Schedule = &Schedule{StartsAt: at(0), EndsAt: at(60)} })
	resolved := with(incident, func(is *Issue) { is.ResolvedAt = at(-5) })

	for name, test := range map[string]struct {
		before, after *Page
		from, to      int // minutes; both views are taken at -1 and 0 unless set
		want          string
	}{
		"nothing":               {before: sample(told), after: sample(told), want: ""},
		"opened":                {before: sample(), after: sample(incident), want: "created i"},
		"opened with an update": {before: sample(), after: sample(told), want: "created i, init"},
		"scheduled":             {before: sample(), after: sample(planned), from: -9, to: -8, want: "created i"},
		"updated":               {before: sample(incident), after: sample(told), want: "updated i u1"},
		"updated three times": {before: sample(told), after: sample(with(told, func(is *Issue) {
			is.Updates = append(told.Updates[:1:1], update("u2", -3), update("u4", -1), update("u3", -2))
		})), want: "updated i u2, updated i u3, updated i u4"},
		"an older update added": {before: sample(told), after: sample(with(told, func(is *Issue) { is.Updates = append(told.Updates[:1:1], update("u0", -25)) })), want: "updated i u0, init"},
		"an update edited":      {before: sample(told), after: sample(with(told, func(is *Issue) { is.Updates = []Update{{ID: "u1", Label: "other", CreatedAt: at(-20)}} })), want: "init"},
		"an update deleted":     {before: sample(told), after: sample(incident), want: "init"},
		"opened before a view that lacks it, and resolved": {before: sample(), after: sample(with(incident, func(is *Issue) {
			is.CreatedAt, is.ResolvedAt = at(-2), at(-1).Add(-time.Second)
		})), want: "created i, resolved i"},
		"resolved":                {before: sample(incident), after: sample(resolved), want: "resolved i"},
		"resolved with updates":   {before: sample(incident), after: sample(with(resolved, func(is *Issue) { is.Updates = []Update{update("u1", -4), update("u2", -3)} })), want: "updated i u1, resolved i u2"},
		"reopened":                {before: sample(resolved), after: sample(incident), want: "reopened i"},
		"reopened with a word":    {before: sample(resolved), after: sample(told), want: "reopened i u1"},
		"cancelled":               {before: sample(planned), after: sample(with(planned, func(is *Issue) { is.CancelledAt = at(-2) })), from: -3, to: -2, want: "cancelled i"},
		"started by the clock":    {before: sample(planned), after: sample(planned), want: "started i"},
		"started, with updates":   {before: sample(with(planned, func(is *Issue) { is.Updates = told.Updates })), after: sample(with(planned, func(is *Issue) { is.Updates = told.Updates })), want: "started i, init"},
		"started with an update":  {before: sample(planned), after: sample(with(planned, func(is *Issue) { is.Updates = told.Updates })), want: "started i, updated i u1"},
		"ended by the clock":      {before: sample(planned), after: sample(planned), from: 59, to: 60, want: "ended i"},
		"came and went":           {before: sample(planned), after: sample(planned), from: -1, to: 60, want: "started i, ended i"},
		"put off":                 {before: sample(planned), after: sample(with(planned, func(is *Issue) { is.Schedule = &Schedule{StartsAt: at(90)} })), from: 1, to: 2, want: "init"},
		"opened and resolved":     {before: sample(), after: sample(with(told, func(is *Issue) { is.CreatedAt, is.ResolvedAt = at(1), at(2) })), from: 0, to: 3, want: "created i, resolved i u1, rebuilt?"},
		"history filled in":       {before: sample(), after: sample(with(resolved, func(is *Issue) { is.State = Outage })), want: "rebuilt"},
		"deleted":                 {before: sample(incident), after: sample(), want: "init"},
		"an old one forgotten":    {before: sample(resolved), after: sample(), want: "rebuilt"},
		"title edited":            {before: sample(incident), after: sample(with(incident, func(is *Issue) { is.Title = "other" })), want: "init"},
		"progress":                {before: sample(incident), after: sample(with(incident, func(is *Issue) { n := 5; is.Progress = &n })), want: "init"},
		"affects, then does not":  {before: sample(with(incident, func(is *Issue) { is.State, is.Components = Outage, []string{"a", "b"} })), after: sample(with(incident, func(is *Issue) { is.State, is.Components, is.ResolvedAt = Outage, []string{"a", "b"}, at(0) })), want: "status a, status b, resolved i"},
		"renamed":                 {before: sample(), after: edited(func(p *Page) { p.Components[0].Name = "other" }), want: "init"},
		"described":               {before: sample(), after: edited(func(p *Page) { p.Components[0].Description.Plain = "x" }), want: "init"},
		"removed":                 {before: sample(), after: edited(func(p *Page) { p.Components = p.Components[:2] }), want: "init"},
		"page renamed":            {before: sample(), after: edited(func(p *Page) { p.Name = "other" }), want: "init"},
		"worse":                   {before: sample(), after: edited(func(p *Page) { p.Components[0].State = Outage }), want: "status c"},
		"well again":              {before: sample(), after: edited(func(p *Page) { p.Components[1].State = Operational }), want: "status b, restored"},
		"hosts are nobody's care": {before: sample(), after: edited(func(p *Page) { p.Hosts = []string{"x"} }), want: ""},
	} {
		if test.from == 0 && test.to == 0 {
			test.from = -1
		}
		got := describe(Diff(test.before.At(at(test.from)), test.after.At(at(test.to))))
		if want := strings.TrimSuffix(test.want, ", rebuilt?"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	// The other direction of "well again".
	well := edited(func(p *Page) { p.Components[1].State = Operational })
	if got := describe(Diff(well.At(at(-1)), sample().At(at(0)))); got != "status b, degraded" {
		t.Errorf("degraded: %q", got)
	}
}

func edited(change func(*Page)) *Page {
	p := sample()
	change(p)
	return p
}

// The passing of time alone is no event, whatever it does to uptime.
func TestDiffIgnoresTheClock(t *testing.T) {
	p := sample(
		Issue{ID: "stands", Kind: Incident, State: Outage, CreatedAt: at(-10)},
		Issue{ID: "over", Kind: Incident, State: Outage, CreatedAt: at(-50), ResolvedAt: at(-40)},
	)
	p.Components[0].History = []StateChange{{State: Outage, At: at(-29 * 24 * 60)}, {State: Operational, At: at(-29*24*60 + 60)}}
	before := p.At(noon)
	for _, d := range []time.Duration{time.Second, time.Hour, 24 * time.Hour, 20 * 24 * time.Hour, 29 * 24 * time.Hour} {
		if events := Diff(before, p.At(noon.Add(d))); len(events) != 0 {
			t.Errorf("after %v: %s", d, describe(events))
		}
	}
	if before.PercentUptime(noon) == p.At(at(600)).PercentUptime(at(600)) {
		t.Error("uptime stands still: the test shows nothing")
	}
}

func ExampleDiff() {
	page := Page{ID: "demo", Components: []Component{{ID: "api", Name: "API", State: Operational}}}
	before := page.At(noon)
	page.Issues = []Issue{{ID: "1", Title: "Heavy load", Kind: Incident, State: Degraded, Components: []string{"api"}, CreatedAt: noon}}
	fmt.Println(describe(Diff(before, page.At(noon))))
	// Output: status api, created 1, degraded
}
