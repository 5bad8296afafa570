package hund

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"statustail/stream/change"
	"statustail/stream/hund/hundtest"
	"statustail/stream/markdown"
	"statustail/stream/status"
)

// apply applies one frame.
func apply(t *testing.T, c *hundtest.Client, raw []byte) {
	t.Helper()
	name, data := parseFrame(t, raw)
	if err := c.Apply(name, data); err != nil {
		t.Fatal(err)
	}
}

func parseFrame(t *testing.T, raw []byte) (name string, data []byte) {
	t.Helper()
	head, data, ok := bytes.Cut(raw, []byte("\ndata: "))
	if !ok || !bytes.HasPrefix(head, []byte("event: ")) || !bytes.HasSuffix(data, []byte("\n\n")) || bytes.Count(raw, []byte("\n")) != 3 {
		t.Fatalf("not one frame: %q", raw)
	}
	return string(bytes.TrimPrefix(head, []byte("event: "))), bytes.TrimSuffix(data, []byte("\n\n"))
}

// follower is one stream: a client and the view it has been led to.
type follower struct {
	scope  string
	view   status.View
	client hundtest.Client
	state  *State
	seen   map[status.EventKind]bool
}

func freshState(t *testing.T, v status.View) *State {
	s := new(State)
	s.take(t, initFrame(Encoder{}, v, change.Moment{Now: v.At}, change.Fresh))
	return s
}

func (s *State) take(t *testing.T, raw []byte) {
	t.Helper()
	name, data := parseFrame(t, raw)
	if _, err := s.Apply(name, data); err != nil {
		t.Fatal(err)
	}
}

// knows is what a state knows, apart from what moves with the clock and from
// the order of the issues.
func (s *State) knows() string {
	after := *s.Snapshot
	after.PercentUptime, after.IncidentFreeStreak, after.IncidentFreeSince = 0, 0, nil
	after.Issues = slices.SortedFunc(slices.Values(after.Issues), func(a, b Issue) int { return strings.Compare(a.ID, b.ID) })
	return string(marshal(after))
}

func narrowed(v status.View, scope string) (status.View, bool) {
	if scope == "" {
		return v, true
	}
	return v.Component(scope)
}

func fresh(t *testing.T, v status.View, now time.Time) hundtest.Client {
	var c hundtest.Client
	apply(t, &c, initFrame(Encoder{}, v, change.Moment{Now: now}, change.Fresh))
	return c
}

// step leads the follower to the new view and checks that it knows what a
// fresh connection would be told. It reports whether the stream goes on.
func (f *follower) step(t *testing.T, v status.View) bool {
	t.Helper()
	v, ok := narrowed(v, f.scope)
	if !ok {
		return false
	}
	events := status.Diff(f.view, v)
	for _, e := range events {
		f.seen[e.Kind] = true
	}
	for _, raw := range eventFrames(v, events) {
		apply(t, &f.client, raw)
		f.state.take(t, raw)
	}
	if got, want := f.state.knows(), freshState(t, v).knows(); got != want {
		t.Fatalf("State diverged after %v:\n%s\n%s", kinds(events), got, want)
	}
	want := fresh(t, v, v.At)
	if len(events) == 0 {
		// Silence means that nothing but the clock moved.
		if before, after := f.view.PercentUptime(v.At), v.PercentUptime(v.At); before != after {
			t.Fatalf("uptime %v became %v without an event", before, after)
		}
		if before, after := f.view.IncidentFreeStreak(v.At), v.IncidentFreeStreak(v.At); before != after {
			t.Fatalf("streak %v became %v without an event", before, after)
		}
		f.client.Common["percent_uptime"] = want.Common["percent_uptime"]
		f.client.Common["incident_free_streak"] = want.Common["incident_free_streak"]
	}
	if d := f.client.Differs(&want, false); d != "" {
		t.Fatalf("stream %q diverged after %v: %s", f.scope, kinds(events), d)
	}
	f.view = v
	return true
}

func kinds(events []status.Event) (names []string) {
	for _, e := range events {
		names = append(names, eventNames[e.Kind])
	}
	return names
}

// TestConvergence applies the events of random histories, merged at random,
// to clients of the page and of each component.
func TestConvergence(t *testing.T) {
	seen := map[status.EventKind]bool{}
	t.Cleanup(func() {
		for kind, name := range eventNames {
			if !seen[kind] {
				t.Errorf("no history led to %s: the test has lost its reach", name)
			}
		}
	})
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := world{rand: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_800_000_000, 0).UTC()}
			w.page = status.Page{ID: "acme", Name: "Acme", CreatedAt: w.now.Add(-time.Hour)}
			for range 3 {
				w.addComponent()
			}
			start := w.view()
			followers := []*follower{{seen: seen, view: start, client: fresh(t, start, w.now), state: freshState(t, start)}}
			for range 60 {
				for range 1 + w.rand.IntN(4) {
					w.mutate()
				}
				v := w.view()
				followers = slices.DeleteFunc(followers, func(f *follower) bool { return !f.step(t, v) })
				for _, c := range v.Components {
					if !slices.ContainsFunc(followers, func(f *follower) bool { return f.scope == c.ID }) {
						scoped, _ := v.Component(c.ID)
						followers = append(followers, &follower{seen: seen, scope: c.ID, view: scoped, client: fresh(t, scoped, w.now), state: freshState(t, scoped)})
					}
				}
			}
		})
	}
}

// world makes random histories of a page.
type world struct {
	rand *rand.Rand
	now  time.Time
	page status.Page
	ids  int
}

// view is of a copy: what the world does next must not reach into old views.
func (w *world) view() status.View {
	p := w.page
	p.Components = slices.Clone(p.Components)
	for i := range p.Components {
		p.Components[i].History = slices.Clone(p.Components[i].History)
	}
	p.Issues = slices.Clone(p.Issues)
	for i := range p.Issues {
		p.Issues[i].Updates = slices.Clone(p.Issues[i].Updates)
		p.Issues[i].Components = slices.Clone(p.Issues[i].Components)
	}
	return p.At(w.now)
}

func (w *world) id(prefix string) string { w.ids++; return fmt.Sprint(prefix, w.ids) }

func (w *world) state() status.State { return status.State(w.rand.IntN(5)) }

func (w *world) text() status.Text {
	html, plain := markdown.Render(fmt.Sprint("text ", w.rand.IntN(1000)))
	return status.Text{HTML: html, Plain: plain}
}

func (w *world) addComponent() {
	id := w.id("c")
	w.page.Components = append(w.page.Components, status.Component{
		ID: id, Name: "Component " + id, State: 1 + status.State(w.rand.IntN(4)), Position: w.rand.IntN(3), CreatedAt: w.now,
	})
}

func (w *world) mutate() {
	w.now = w.now.Add(time.Duration(w.rand.IntN(900)) * time.Second)
	if w.rand.IntN(40) == 0 {
		w.now = w.now.Add(12 * 24 * time.Hour)
	}
	if n := len(w.page.Components); n > 0 {
		c := &w.page.Components[w.rand.IntN(n)]
		switch w.rand.IntN(14) {
		case 0, 1, 2:
			c.State = w.state()
			c.History = append(c.History, status.StateChange{State: c.State, At: w.now})
		case 3:
			c.Name += "'"
		case 4:
			c.Description = w.text()
		case 5:
			c.Position = w.rand.IntN(5)
		case 6:
			if n > 1 {
				w.page.Components = slices.DeleteFunc(w.page.Components, func(x status.Component) bool { return x.ID == c.ID })
			}
		case 7:
			if n < 6 {
				w.addComponent()
			}
		}
	}
	if w.rand.IntN(4) == 0 {
		w.openIssue()
	}
	if n := len(w.page.Issues); n > 0 {
		w.mutateIssue(&w.page.Issues[w.rand.IntN(n)])
	}
}

func (w *world) openIssue() {
	is := status.Issue{
		ID: w.id("i"), Title: "Issue", Body: w.text(), State: w.state(), CreatedAt: w.now,
		Kind: []status.Kind{status.Incident, status.Maintenance, status.Informational}[w.rand.IntN(3)],
	}
	if w.rand.IntN(6) == 0 {
		is.CreatedAt = w.now.Add(-time.Duration(w.rand.IntN(40*24)) * time.Hour) // filled in later
	}
	for _, c := range w.page.Components {
		if w.rand.IntN(2) == 0 {
			is.Components = append(is.Components, c.ID)
		}
	}
	if w.rand.IntN(2) == 0 {
		starts := w.now.Add(time.Duration(w.rand.IntN(2000)-500) * time.Second)
		is.Schedule = &status.Schedule{StartsAt: starts}
		if w.rand.IntN(3) > 0 {
			is.Schedule.EndsAt = starts.Add(time.Duration(w.rand.IntN(2000)) * time.Second)
		}
	}
	if w.rand.IntN(4) == 0 {
		w.update(&is)
	}
	w.page.Issues = append(w.page.Issues, is)
}

func (w *world) update(is *status.Issue) {
	is.Updates = append(is.Updates, status.Update{ID: w.id("u"), Label: "Label", Body: w.text(), State: w.state(), CreatedAt: w.now})
}

func (w *world) mutateIssue(is *status.Issue) {
	is.UpdatedAt = w.now
	switch w.rand.IntN(17) {
	case 0, 1, 2, 3:
		w.update(is)
	case 4, 5:
		is.ResolvedAt = w.now
		if w.rand.IntN(2) == 0 {
			w.update(is)
		}
	case 6, 7:
		is.ResolvedAt, is.CancelledAt, is.EndedAt = time.Time{}, time.Time{}, time.Time{}
		if w.rand.IntN(2) == 0 {
			w.update(is)
		}
	case 8:
		is.CancelledAt = w.now
	case 9:
		is.EndedAt = w.now
	case 10:
		is.Title += "'"
	case 11:
		progress := w.rand.IntN(101)
		is.Progress = &progress
	case 12:
		if n := len(is.Updates); n > 0 {
			is.Updates[w.rand.IntN(n)].Body = w.text()
		}
	case 13:
		if n := len(is.Updates); n > 0 {
			is.Updates = is.Updates[1:]
		}
	case 14:
		if is.Schedule != nil {
			s := *is.Schedule
			s.StartsAt = s.StartsAt.Add(time.Hour)
			s.EndsAt = time.Time{}
			is.Schedule = &s
		}
	case 15:
		w.page.Issues = slices.DeleteFunc(w.page.Issues, func(x status.Issue) bool { return x.ID == is.ID })
	case 16:
		is.BeganAt = w.now.Add(-time.Duration(w.rand.IntN(7200)) * time.Second)
	}
}
