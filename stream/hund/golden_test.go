package hund

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"statustail/stream/change"
	"statustail/stream/markdown"
	"statustail/stream/schema"
	"statustail/stream/status"
)

var updateGolden = flag.Bool("update", false, "write the golden files")

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func samplePage() status.Page {
	progress := 40
	return status.Page{
		ID: "acme", Name: "Acme \"Cloud\" <script>", URL: "https://acme.example", Locale: "en", CreatedAt: at(-3 * 24 * 60),
		Components: []status.Component{
			{ID: "web", Name: "Website", Position: 2, State: status.Operational},
			{ID: "api", Name: "API", Group: "Core", Position: 1, State: status.PartialOutage,
				Description: text("REST & gRPC"),
				History:     []status.StateChange{{State: status.Outage, At: at(-90)}, {State: status.PartialOutage, At: at(-60)}}},
			{ID: "db", Name: "Database", Position: 3, State: status.Operational},
		},
		Issues: []status.Issue{
			{ID: "i1", Title: "Heavy load", Kind: status.Incident, State: status.Degraded, Components: []string{"api", "gone"},
				Label: "Investigating", Body: text("We look."), Progress: &progress, CreatedAt: at(-30),
				Updates: []status.Update{
					{ID: "u1", Label: "Identified", Body: text("Found\u2028it"), State: status.PartialOutage, CreatedAt: at(-20)},
					{ID: "u2", Label: "Monitoring", CreatedAt: at(-10)},
				}},
			{ID: "i2", Title: "Disk swap", Kind: status.Maintenance, State: status.Outage, Components: []string{"db"}, CreatedAt: at(-45),
				Schedule: &status.Schedule{StartsAt: at(-5), EndsAt: at(55)}},
			{ID: "i3", Title: "Upgrade", Kind: status.Maintenance, CreatedAt: at(-40), Schedule: &status.Schedule{StartsAt: at(60)}},
			{ID: "i0", Title: "Yesterday", Kind: status.Incident, State: status.Outage, CreatedAt: at(-1500), ResolvedAt: at(-1440)},
		},
	}
}

// golden compares with a file under testdata; -update writes it. Frames are
// kept as they are on the wire.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *updateGolden {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

// initFrame is init_event in one piece.
func initFrame(e Encoder, v status.View, m change.Moment, r change.Recovery) []byte {
	return slices.Concat(e.Init(v, e.Facts(v, m), m, r)...)
}

// eventFrames encodes differences as they leave the server.
func eventFrames(v status.View, events []status.Event) (frames [][]byte) {
	e, m := Encoder{}, change.Moment{Now: v.At}
	for _, ev := range events {
		if ev.Kind == status.Init {
			frames = append(frames, initFrame(e, v, m, change.Fresh))
		} else {
			frames = append(frames, e.Event(v, ev, m))
		}
	}
	return frames
}

func TestGoldenInit(t *testing.T) {
	page := samplePage()
	v := page.At(noon)
	e := Encoder{PingInterval: time.Minute}
	var all []byte
	all = append(all, initFrame(e, v, change.Moment{Now: noon}, change.Fresh)...)
	all = append(all, initFrame(e, v, change.Moment{Now: noon.Add(time.Second)}, change.Recovered)...)
	all = append(all, initFrame(e, v, change.Moment{Now: noon, StaleSince: at(-1)}, change.Unrecovered)...)
	api, _ := v.Component("api")
	all = append(all, initFrame(e, api, change.Moment{Now: noon}, change.Fresh)...)
	nothing := status.Page{ID: "empty", Name: "Empty"}
	all = append(all, initFrame(e, nothing.At(noon), change.Moment{Now: noon}, change.Fresh)...)
	golden(t, "init.sse", all)
}

func TestGoldenEvents(t *testing.T) {
	before := samplePage()
	before.Components[1].State = status.Operational
	before.Issues = before.Issues[2:3]
	steps := []func(p *status.Page){
		func(p *status.Page) { p.Components[1].State = status.PartialOutage },
		func(p *status.Page) { p.Issues = append(p.Issues, samplePage().Issues[0]) },
		func(p *status.Page) {
			p.Issues[1].Updates = append(p.Issues[1].Updates, status.Update{ID: "u3", Label: "Almost", CreatedAt: at(1)})
		},
		func(p *status.Page) { p.Issues[1].ResolvedAt = at(2) },
		func(p *status.Page) { p.Issues[1].ResolvedAt, p.Issues[1].UpdatedAt = time.Time{}, at(3) },
		func(p *status.Page) {
			p.Issues[1].ResolvedAt = at(4)
			p.Issues[1].Updates = append(p.Issues[1].Updates, status.Update{ID: "u4", Label: "Resolved", CreatedAt: at(4)})
		},
		func(p *status.Page) { p.Components[1].State = status.Operational },
		func(p *status.Page) {},
		func(p *status.Page) { p.Issues[0].Schedule = &status.Schedule{StartsAt: at(60), EndsAt: at(61)} },
		func(p *status.Page) {},
		func(p *status.Page) { p.Issues[0].Schedule = &status.Schedule{StartsAt: at(600)} },
		func(p *status.Page) { p.Issues[0].CancelledAt = at(20) },
		func(p *status.Page) {
			p.Components[1].History = append(p.Components[1].History, status.StateChange{State: status.Outage, At: at(-2000)}, status.StateChange{State: status.Operational, At: at(-1900)})
		},
	}
	when := []int{0, 1, 2, 3, 4, 5, 6, 60, 60, 62, 62, 63, 64}
	page := before
	view := page.At(noon)
	var all []byte
	for i, step := range steps {
		next := page
		next.Components = append([]status.Component(nil), page.Components...)
		next.Issues = append([]status.Issue(nil), page.Issues...)
		step(&next)
		v := next.At(at(when[i]))
		for _, f := range eventFrames(v, status.Diff(view, v)) {
			all = append(all, f...)
		}
		page, view = next, v
	}
	all = append(all, Encoder{}.Ping(view, change.Moment{Now: at(64)})...)
	all = append(all, Encoder{}.Ping(view, change.Moment{Now: at(65), StaleSince: at(64)})...)
	all = append(all, Encoder{}.Message("deploy.done", []byte(`{"version":"1.2"}`))...)
	all = append(all, Encoder{}.Dropped(17)...)
	golden(t, "events.sse", all)
}

func TestState(t *testing.T) {
	page := samplePage()
	v, m := page.At(noon), change.Moment{Now: noon}
	e := Encoder{PingInterval: time.Minute}
	_, data := parseFrame(t, initFrame(e, v, m, change.Fresh))
	if got := slices.Concat(e.State(v, e.Facts(v, m), m)...); !bytes.Equal(got, data) || !json.Valid(got) {
		t.Errorf("state.json is not the data of init_event:\n%s\n%s", got, data)
	}
}

func TestTag(t *testing.T) {
	page := samplePage()
	page.Issues[0].ResolvedAt = at(-5) // no incident stands: the streak runs
	tag := func(v status.View, stale time.Time) string {
		return Encoder{}.Tag(v, Encoder{}.Facts(v, change.Moment{Now: v.At, StaleSince: stale}))
	}
	v := page.At(noon)
	first := tag(v, time.Time{})
	if later := page.At(at(3)); tag(later, time.Time{}) != first || later.PercentUptime(at(3)) == v.PercentUptime(noon) && later.IncidentFreeStreak(at(3)) == v.IncidentFreeStreak(noon) {
		t.Error("the tag moved with the clock")
	}
	if tag(v, at(-1)) == first {
		t.Error("the tag does not tell stale from live")
	}
	page.Components[0].State = status.Degraded
	if tag(page.At(noon), time.Time{}) == first {
		t.Error("the tag did not change with a component")
	}
	page = samplePage()
	down := tag(page.At(noon), time.Time{})
	page.Issues[0].State = status.Outage // of the page, and of no component that is listed
	if tag(page.At(noon), time.Time{}) == down {
		t.Error("the tag did not change with the page's state")
	}
}

// What the protocol says, an application cannot say in its name.
func TestNamesAreReserved(t *testing.T) {
	for _, name := range eventNames {
		if !schema.Reserved(name) {
			t.Errorf("%q is free for applications", name)
		}
	}
}

// text is Markdown in both its forms.
func text(md string) status.Text {
	html, plain := markdown.Render(md)
	return status.Text{HTML: html, Plain: plain}
}
