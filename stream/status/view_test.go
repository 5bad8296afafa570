package status

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func TestPhase(t *testing.T) {
	sched := func(from, to int) *Schedule { return &Schedule{StartsAt: at(from), EndsAt: at(to)} }
	open := func(from int) *Schedule { return &Schedule{StartsAt: at(from)} }
	for name, test := range map[string]struct {
		issue Issue
		want  Phase
		next  time.Time
	}{
		"just opened":                   {Issue{CreatedAt: at(0)}, Standing, time.Time{}},
		"opened by a clock ahead":       {Issue{CreatedAt: at(5)}, Standing, time.Time{}},
		"resolved":                      {Issue{ResolvedAt: at(-1)}, Resolved, time.Time{}},
		"resolved by a clock ahead":     {Issue{ResolvedAt: at(5)}, Resolved, time.Time{}},
		"cancelled wins over resolved":  {Issue{ResolvedAt: at(-1), CancelledAt: at(-1)}, Cancelled, time.Time{}},
		"unscheduled, with an end":      {Issue{EndedAt: at(-1)}, Standing, time.Time{}},
		"not started":                   {Issue{Schedule: sched(10, 20)}, Upcoming, at(10)},
		"starts this instant":           {Issue{Schedule: sched(0, 20)}, Standing, at(20)},
		"begun early":                   {Issue{Schedule: sched(10, 20), BeganAt: at(-1)}, Standing, at(20)},
		"under way":                     {Issue{Schedule: sched(-10, 20)}, Standing, at(20)},
		"ends this instant":             {Issue{Schedule: sched(-10, 0)}, Ended, time.Time{}},
		"ended early":                   {Issue{Schedule: sched(-10, 20), EndedAt: at(-1)}, Ended, time.Time{}},
		"without an end":                {Issue{Schedule: open(-10)}, Standing, time.Time{}},
		"without an end, not started":   {Issue{Schedule: open(10)}, Upcoming, at(10)},
		"ends before it starts":         {Issue{Schedule: sched(20, 10)}, Upcoming, at(10)},
		"scheduled and resolved":        {Issue{Schedule: sched(-10, 20), ResolvedAt: at(-1)}, Resolved, time.Time{}},
		"scheduled and called off":      {Issue{Schedule: sched(10, 20), CancelledAt: at(-1)}, Cancelled, time.Time{}},
		"called off while under way":    {Issue{Schedule: sched(-10, 20), CancelledAt: at(-1)}, Cancelled, time.Time{}},
		"both ends long past":           {Issue{Schedule: sched(-200, -100)}, Ended, time.Time{}},
		"a scheduled incident, ongoing": {Issue{Kind: Incident, Schedule: sched(-5, 5)}, Standing, at(5)},
	} {
		if got := test.issue.PhaseAt(noon); got != test.want {
			t.Errorf("%s: phase %v, want %v", name, got, test.want)
		}
		if got := test.issue.next(noon); !got.Equal(test.next) {
			t.Errorf("%s: next %v, want %v", name, got, test.next)
		}
	}
}

// sample has components a to c and the issues given.
func sample(issues ...Issue) *Page {
	return &Page{ID: "p", CreatedAt: at(-60 * 24 * 60), Issues: issues, Components: []Component{
		{ID: "c", Name: "C", Position: 2, State: Operational},
		{ID: "b", Name: "B", Position: 1, State: Degraded},
		{ID: "a", Name: "A", Position: 1, State: Operational},
	}}
}

func states(v View) (s []string) {
	for _, c := range v.Components {
		text := c.ID + ":" + c.State.String()
		if c.Maintenance {
			text += "(m)"
		}
		s = append(s, text)
	}
	return s
}

func TestEffectiveStates(t *testing.T) {
	for name, test := range map[string]struct {
		issues []Issue
		want   string
		page   State
	}{
		"own states only": {nil, "[a:operational b:degraded c:operational]", Degraded},
		"a standing issue": {[]Issue{{State: PartialOutage, Components: []string{"a", "unknown"}}},
			"[a:partial_outage b:degraded c:operational]", PartialOutage},
		"the worst of both wins": {[]Issue{{State: Outage, Components: []string{"b"}}, {State: Degraded, Components: []string{"b"}}},
			"[a:operational b:outage c:operational]", Outage},
		"a resolved issue does nothing": {[]Issue{{State: Outage, Components: []string{"a"}, ResolvedAt: at(-1)}},
			"[a:operational b:degraded c:operational]", Degraded},
		"an upcoming one neither": {[]Issue{{State: Outage, Components: []string{"a"}, Schedule: &Schedule{StartsAt: at(1)}}},
			"[a:operational b:degraded c:operational]", Degraded},
		"the newest update that says so wins": {[]Issue{{State: Outage, Components: []string{"a"}, Updates: []Update{
			{ID: "2", State: Degraded, CreatedAt: at(-1)}, {ID: "3", CreatedAt: at(0)}, {ID: "1", State: Outage, CreatedAt: at(-2)}}}},
			"[a:degraded b:degraded c:operational]", Degraded},
		"of two at once, the later written": {[]Issue{{Components: []string{"a"}, Updates: []Update{
			{ID: "1", State: Degraded, CreatedAt: at(-1)}, {ID: "2", State: Operational, CreatedAt: at(-1)}}}},
			"[a:operational b:degraded c:operational]", Degraded},
		"maintenance explains a state": {[]Issue{{Kind: Maintenance, State: Outage, Components: []string{"a"}}},
			"[a:outage(m) b:degraded c:operational]", Outage},
		"maintenance without a state": {[]Issue{{Kind: Maintenance, Components: []string{"a"}}},
			"[a:operational(m) b:degraded c:operational]", Degraded},
		"it does not hide an incident": {[]Issue{{Kind: Maintenance, Components: []string{"b"}}},
			"[a:operational b:degraded c:operational]", Degraded},
		"an issue that names nothing": {[]Issue{{State: Outage}},
			"[a:operational b:degraded c:operational]", Outage},
	} {
		for i := range test.issues {
			test.issues[i].ID = fmt.Sprint("i", i)
		}
		v := sample(test.issues...).At(noon)
		if got := fmt.Sprint(states(v)); got != test.want || v.State != test.page {
			t.Errorf("%s: %s, page %v; want %s, page %v", name, got, v.State, test.want, test.page)
		}
	}
	if v := (&Page{}).At(noon); v.State != Pending {
		t.Errorf("an empty page is %v", v.State)
	}
}

func TestOrderAndNext(t *testing.T) {
	v := sample(
		Issue{ID: "old", CreatedAt: at(-10)},
		Issue{ID: "new", CreatedAt: at(-1)},
		Issue{ID: "soon", CreatedAt: at(-5), Schedule: &Schedule{StartsAt: at(30), EndsAt: at(40)}},
		Issue{ID: "now", CreatedAt: at(-5), Schedule: &Schedule{StartsAt: at(-1), EndsAt: at(20)}},
		Issue{ID: "over", CreatedAt: at(-3), ResolvedAt: at(-2)},
	).At(noon)
	var ids []string
	for _, iv := range v.Issues {
		ids = append(ids, iv.ID)
	}
	if !slices.Equal(ids, []string{"new", "soon", "now", "old"}) {
		t.Errorf("issues %v", ids)
	}
	if len(v.Over()) != 1 || v.Over()[0].ID != "over" {
		t.Errorf("over %v", v.Over())
	}
	if !v.Next.Equal(at(20)) {
		t.Errorf("next %v", v.Next)
	}
	if _, ok := v.Issue("over"); !ok {
		t.Error("an issue that is over is not found")
	}
}

func TestComponentScope(t *testing.T) {
	v := sample(
		Issue{ID: "mine", State: Outage, Kind: Incident, Components: []string{"a", "b"}, CreatedAt: at(-10)},
		Issue{ID: "other", Kind: Incident, Components: []string{"b"}, CreatedAt: at(-10)},
		Issue{ID: "past", State: Outage, Kind: Incident, Components: []string{"a"}, CreatedAt: at(-60), ResolvedAt: at(-30)},
	).At(noon)
	a, ok := v.Component("a")
	if !ok || a.State != Outage || len(a.Components) != 1 || len(a.Issues) != 1 || a.Issues[0].ID != "mine" || len(a.Over()) != 1 {
		t.Errorf("%v %+v", ok, a)
	}
	if len(a.Issues[0].Affected) != 1 {
		t.Errorf("other components named: %v", a.Issues[0].Affected)
	}
	c, _ := v.Component("c")
	if c.State != Operational || c.PercentUptime(noon) != 100 || len(c.Issues) != 0 {
		t.Errorf("%+v", c)
	}
	if _, ok := v.Component("nope"); ok {
		t.Error("an unknown component was found")
	}
}

func TestUptime(t *testing.T) {
	const month = 30 * 24 * 60 // minutes
	history := func(changes ...any) []StateChange {
		var h []StateChange
		for i := 0; i < len(changes); i += 2 {
			h = append(h, StateChange{At: at(changes[i].(int)), State: changes[i+1].(State)})
		}
		return h
	}
	for name, test := range map[string]struct {
		page Page
		down float64 // minutes of outage within the window
	}{
		"nothing known":                        {Page{}, 0},
		"outage in the history":                {Page{Components: []Component{{ID: "a", History: history(-100, Outage, -40, Operational)}}}, 60},
		"history in any order":                 {Page{Components: []Component{{ID: "a", History: history(-40, Operational, -100, Outage)}}}, 60},
		"still down":                           {Page{Components: []Component{{ID: "a", History: history(-100, Outage)}}}, 100},
		"partial outage does not count":        {Page{Components: []Component{{ID: "a", History: history(-100, PartialOutage, -50, Degraded)}}}, 0},
		"a state that is not in the history":   {Page{Components: []Component{{ID: "a", State: Outage}}}, 0},
		"overlaps count once":                  {Page{Components: []Component{{ID: "a", History: history(-100, Outage, -40, Operational)}, {ID: "b", History: history(-80, Outage, -20, Operational)}}}, 80},
		"only the window counts":               {Page{Components: []Component{{ID: "a", History: history(-month-500, Outage, -month+10, Operational)}}}, 10},
		"an outage of a month":                 {Page{Components: []Component{{ID: "a", History: history(-2*month, Outage)}}}, month},
		"an issue":                             {Page{Issues: []Issue{{ID: "i", Kind: Incident, State: Outage, CreatedAt: at(-30), ResolvedAt: at(-10)}}}, 20},
		"began before it was noticed":          {Page{Issues: []Issue{{ID: "i", Kind: Incident, State: Outage, CreatedAt: at(-30), BeganAt: at(-50), ResolvedAt: at(-10)}}}, 40},
		"ended before it was resolved":         {Page{Issues: []Issue{{ID: "i", Kind: Incident, State: Outage, CreatedAt: at(-30), EndedAt: at(-20), ResolvedAt: at(-10)}}}, 10},
		"an update made it worse, then better": {Page{Issues: []Issue{{ID: "i", Kind: Incident, State: Degraded, CreatedAt: at(-60), Updates: []Update{{State: Degraded, CreatedAt: at(-20)}, {State: Outage, CreatedAt: at(-50)}}}}}, 30},
		"an update after the end":              {Page{Issues: []Issue{{ID: "i", Kind: Incident, State: Outage, CreatedAt: at(-60), ResolvedAt: at(-30), Updates: []Update{{State: Operational, CreatedAt: at(-20)}}}}}, 30},
		"planned work":                         {Page{Issues: []Issue{{ID: "i", Kind: Maintenance, State: Outage, CreatedAt: at(-60)}}}, 0},
		"a false alarm":                        {Page{Issues: []Issue{{ID: "i", Kind: Incident, State: Outage, CreatedAt: at(-60), CancelledAt: at(-1)}}}, 0},
		"not begun":                            {Page{Issues: []Issue{{ID: "i", Kind: Incident, State: Outage, CreatedAt: at(-60), Schedule: &Schedule{StartsAt: at(5)}}}}, 0},
		"by schedule":                          {Page{Issues: []Issue{{ID: "i", Kind: Incident, State: Outage, CreatedAt: at(-60), Schedule: &Schedule{StartsAt: at(-20), EndsAt: at(-5)}}}}, 15},
	} {
		want := math.Floor((month-test.down)*1e6/month) / 1e4
		if got := test.page.At(noon).PercentUptime(noon); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	// One view answers for later moments too.
	v := (&Page{Components: []Component{{ID: "a", History: history(-100, Outage)}}}).At(noon)
	if got, want := v.PercentUptime(at(100)), math.Floor((month-200)*1e6/month)/1e4; got != want {
		t.Errorf("later: %v, want %v", got, want)
	}
}

func TestStreak(t *testing.T) {
	born := at(-60 * 24 * 60)
	resolved := Issue{ID: "r", Kind: Incident, CreatedAt: at(-50), ResolvedAt: at(-20), Components: []string{"a"}}
	for name, test := range map[string]struct {
		page  *Page
		since time.Time
	}{
		"never an incident": {sample(), born},
		"one that ended":    {sample(resolved), at(-20)},
		"one that stands":   {sample(resolved, Issue{ID: "s", Kind: Incident, CreatedAt: at(-1)}), time.Time{}},
		"planned work":      {sample(Issue{ID: "m", Kind: Maintenance, CreatedAt: at(-1)}), born},
		"a false alarm":     {sample(Issue{ID: "f", Kind: Incident, CreatedAt: at(-5), CancelledAt: at(-1)}), born},
		"scheduled, resolved before its start": {sample(Issue{ID: "s", Kind: Incident, State: Outage, CreatedAt: at(-50), ResolvedAt: at(-20),
			Schedule: &Schedule{StartsAt: at(30)}}), born},
		"scheduled, ended before its start": {sample(Issue{ID: "s", Kind: Incident, CreatedAt: at(-50), EndedAt: at(-20),
			Schedule: &Schedule{StartsAt: at(-10), EndsAt: at(-5)}}), born},
		"scheduled, begun early and resolved before its start": {sample(Issue{ID: "s", Kind: Incident, CreatedAt: at(-50), BeganAt: at(-40), ResolvedAt: at(-20),
			Schedule: &Schedule{StartsAt: at(30)}}), at(-20)},
		"one older than a month": {&Page{CreatedAt: born, PastIncidents: map[string]time.Time{"x": at(-45 * 24 * 60)}}, at(-45 * 24 * 60)},
		"nothing known":          {&Page{}, time.Time{}},
	} {
		v := test.page.At(noon)
		if got := v.IncidentFreeSince(); !got.Equal(test.since) {
			t.Errorf("%s: since %v, want %v", name, got, test.since)
		}
		if test.since.IsZero() && v.IncidentFreeStreak(noon) != 0 {
			t.Errorf("%s: streak %v", name, v.IncidentFreeStreak(noon))
		}
	}
	v := sample(resolved).At(noon)
	if got := v.LastIncident(); !got.Equal(at(-20)) {
		t.Errorf("the last incident ended at %v", got)
	}
	if got := v.IncidentFreeStreak(at(10)); got != 30*time.Minute {
		t.Errorf("streak %v", got)
	}
	if got := v.IncidentFreeStreak(at(-30)); got != 0 {
		t.Errorf("a clock behind gives %v", got)
	}
	p := sample(resolved)
	p.PastIncidents = map[string]time.Time{"b": at(-40 * 24 * 60), "": at(-35 * 24 * 60)}
	for id, want := range map[string]time.Time{"a": at(-20), "b": at(-40 * 24 * 60), "c": born} {
		scoped, _ := p.At(noon).Component(id)
		if got := scoped.IncidentFreeSince(); !got.Equal(want) {
			t.Errorf("component %s: since %v, want %v", id, got, want)
		}
	}
}

// Only what had no outage at all is 100, whatever it is rounded to.
func TestUptimeIsRoundedDown(t *testing.T) {
	for name, test := range map[string]struct {
		outage time.Duration
		want   float64
		shown  string
	}{
		"none":              {0, 100, "100.00"},
		"a millisecond":     {time.Millisecond, 99.9999, "99.99"},
		"a second":          {time.Second, 99.9999, "99.99"},
		"just under 99.17":  {Window*83/10_000 + time.Second, 99.1699, "99.16"},
		"exactly 99.57":     {Window * 43 / 10_000, 99.57, "99.57"},
		"exactly a half":    {Window / 2, 50, "50.00"},
		"all but a second":  {Window - time.Second, 0, "0.00"},
		"all of the window": {Window, 0, "0.00"},
	} {
		end := noon
		p := Page{Components: []Component{{ID: "a", History: []StateChange{{Outage, end.Add(-test.outage)}, {Operational, end}}}}}
		v := p.At(noon)
		if got := v.PercentUptime(noon); got != test.want || FormatPercent(got) != test.shown {
			t.Errorf("%s: %v, shown %s; want %v, shown %s", name, got, FormatPercent(got), test.want, test.shown)
		}
	}
	for n := range 1_000_001 {
		if percent := float64(n) / 1e4; FormatPercent(percent) != fmt.Sprintf("%d.%02d", n/10_000, n/100%100) {
			t.Fatalf("%v is shown as %s", percent, FormatPercent(percent))
		}
	}
}

// The time between a resolution and the update that takes it back is no
// downtime.
func TestReopened(t *testing.T) {
	reopen := func(resolved, reopened int) Update {
		return Update{ID: fmt.Sprint(reopened), CreatedAt: at(reopened), ResolvedAt: at(resolved)}
	}
	for name, test := range map[string]struct {
		issue Issue
		down  int // minutes
	}{
		"once":                   {Issue{State: Outage, CreatedAt: at(-1000), Updates: []Update{reopen(-990, -5)}}, 15},
		"and resolved again":     {Issue{State: Outage, CreatedAt: at(-1000), ResolvedAt: at(-2), Updates: []Update{reopen(-990, -5)}}, 13},
		"twice":                  {Issue{State: Outage, CreatedAt: at(-1000), Updates: []Update{reopen(-990, -500), reopen(-480, -5)}}, 35},
		"after an update":        {Issue{State: Outage, CreatedAt: at(-1000), Updates: []Update{{ID: "u", State: Degraded, CreatedAt: at(-995)}, reopen(-990, -5)}}, 5},
		"as something better":    {Issue{State: Outage, CreatedAt: at(-1000), Updates: []Update{{ID: "1", CreatedAt: at(-5), ResolvedAt: at(-990), State: Degraded}}}, 10},
		"told while it was over": {Issue{State: Outage, CreatedAt: at(-1000), Updates: []Update{{ID: "u", State: Degraded, CreatedAt: at(-100)}, reopen(-990, -5)}}, 10},
		"before it was resolved": {Issue{State: Outage, CreatedAt: at(-1000), Updates: []Update{reopen(-5, -990)}}, 1000},
	} {
		test.issue.ID, test.issue.Kind = "i", Incident
		p := sample(test.issue)
		want := p.At(noon)
		want.rec.down = []span{{at(-test.down), noon}}
		if got := p.At(noon).PercentUptime(noon); got != want.PercentUptime(noon) {
			t.Errorf("%s: %v, want %v", name, got, want.PercentUptime(noon))
		}
	}
}

// A page that has never had an incident does not say that its last one ended
// when the page was made.
func TestYoungPage(t *testing.T) {
	v := (&Page{CreatedAt: at(-2), Components: []Component{{ID: "a", State: Operational}}}).At(noon)
	if got := v.LastIncident(); !got.IsZero() {
		t.Errorf("the last incident of a page without any was at %v", got)
	}
	if got := v.IncidentFreeStreak(noon); got != 2*time.Minute {
		t.Errorf("streak %v", got)
	}
	older := (&Page{CreatedAt: at(-20), Components: v.Page.Components}).At(noon)
	if events := Diff(older, v); len(events) != 1 || events[0].Kind != CacheRebuilt {
		t.Errorf("what the streak is counted from has changed: %v", events)
	}
}

func TestStates(t *testing.T) {
	for s := Operational; s <= Outage; s++ {
		if got, err := ParseState(s.String()); err != nil || got != s {
			t.Errorf("%v: %v %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "Outage", "maintenance", "pending"} {
		if _, err := ParseState(bad); err == nil {
			t.Errorf("%q is a state", bad)
		}
	}
	if Pending.Affects() || Operational.Affects() || !Degraded.Affects() {
		t.Error("what affects and what does not")
	}
}
