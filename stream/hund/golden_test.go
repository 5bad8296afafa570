package hund

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

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

func TestGoldenInit(t *testing.T) {
	page := samplePage()
	v := page.At(noon)
	yes, no := true, false
	e := Encoder{PingInterval: time.Minute}
	var all []byte
	all = append(all, e.Init(v, noon, nil, time.Time{})...)
	all = append(all, e.Init(v, noon.Add(time.Second), &yes, time.Time{})...)
	all = append(all, e.Init(v, noon, &no, at(-1))...)
	api, _ := v.Component("api")
	all = append(all, e.Init(api, noon, nil, time.Time{})...)
	nothing := status.Page{ID: "empty", Name: "Empty"}
	all = append(all, e.Init(nothing.At(noon), noon, nil, time.Time{})...)
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
		for _, f := range (Encoder{}).Events(v, status.Diff(view, v), v.At, time.Time{}) {
			all = append(all, f...)
		}
		page, view = next, v
	}
	all = append(all, Encoder{}.Ping(view, at(64), time.Time{})...)
	all = append(all, Encoder{}.Ping(view, at(65), at(64))...)
	all = append(all, Encoder{}.Message("deploy.done", []byte(`{"version":"1.2"}`))...)
	golden(t, "events.sse", all)
}

func TestState(t *testing.T) {
	page := samplePage()
	v := page.At(noon)
	e := Encoder{PingInterval: time.Minute}
	_, data := parseFrame(t, e.Init(v, noon, nil, time.Time{}))
	if got := e.State(v, noon, time.Time{}); !bytes.Equal(got, data) || !json.Valid(got) {
		t.Errorf("state.json is not the data of init_event:\n%s\n%s", got, data)
	}
}

func TestETag(t *testing.T) {
	page := samplePage()
	page.Issues[0].ResolvedAt = at(-5) // no incident stands: the streak runs
	e := Encoder{}
	v := page.At(noon)
	tag := e.ETag(v, time.Time{})
	if later := page.At(at(3)); e.ETag(later, time.Time{}) != tag || later.PercentUptime(at(3)) == v.PercentUptime(noon) && later.IncidentFreeStreak(at(3)) == v.IncidentFreeStreak(noon) {
		t.Error("the tag moved with the clock")
	}
	if e.ETag(v, at(-1)) == tag {
		t.Error("the tag does not tell stale from live")
	}
	page.Components[0].State = status.Degraded
	if e.ETag(page.At(noon), time.Time{}) == tag {
		t.Error("the tag did not change with a component")
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
