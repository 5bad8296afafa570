// Package storetest tests the store against a real database: the embedded
// one, and a MongoDB when STATUSTAIL_TEST_MONGODB_URI names one. It is apart
// from the store, so that the store's own tests need not link a database.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/embedded"
	"statustail/stream/schema"
	"statustail/stream/status"
	"statustail/stream/store"
)

var uri string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if uri = os.Getenv("STATUSTAIL_TEST_MONGODB_URI"); uri != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "statustail-storetest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	db, err := embedded.Open(context.Background(), embedded.Config{
		Dir: dir, Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer db.Close()
	uri = db.URI()
	return m.Run()
}

// A clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A database of its own for each test.
type fixture struct {
	*store.Store
	t     testing.TB
	ctx   context.Context
	db    *mongo.Database
	clock *clock
}

func open(t testing.TB) *fixture {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	f := &fixture{t: t, ctx: ctx, clock: &clock{now: time.Now().UTC().Truncate(time.Millisecond)}}
	f.db = client.Database("statustail_test_" + bson.NewObjectID().Hex())
	f.Store = store.New(f.db, store.Config{
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: f.clock.Now,
	})
	t.Cleanup(func() {
		ctx := context.Background()
		_ = f.db.Drop(ctx)
		_ = client.Disconnect(ctx)
	})
	if _, err := f.Init(ctx, store.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	return f
}

// load reads one page as everybody does.
func (f *fixture) load(slug string) status.Page {
	f.t.Helper()
	pages, _, err := f.Load(f.ctx, []string{slug}, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, ok := pages[slug]; !ok {
		return status.Page{}
	}
	return must[status.Page](f.t)(pages[slug].Decode())
}

func (f *fixture) issue(slug, id string) *status.Issue {
	f.t.Helper()
	for _, i := range f.load(slug).Issues {
		if i.ID == id {
			return &i
		}
	}
	f.t.Fatalf("page %s has no issue %s", slug, id)
	return nil
}

func (f *fixture) insert(collection string, docs ...any) {
	f.t.Helper()
	if _, err := f.db.Collection(collection).InsertMany(f.ctx, docs); err != nil {
		f.t.Fatal(err)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// written fails the test when a write has failed, whatever it returned.
func written(t testing.TB) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (f *fixture) page(slug string, components ...string) {
	f.t.Helper()
	must[bool](f.t)(f.PutPage(f.ctx, store.PageInput{ID: slug, Name: strings.ToUpper(slug)}))
	for _, name := range components {
		if _, _, err := f.PutComponent(f.ctx, store.ComponentInput{Page: slug, Name: name}); err != nil {
			f.t.Fatal(err)
		}
	}
}

func refused(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want an error about %q", err, words)
	}
}

func TestSeedDemo(t *testing.T) {
	f := open(t)
	if !must[bool](t)(f.SeedDemo(f.ctx)) {
		t.Error("nothing was made")
	}
	p := f.load("demo")
	view := p.At(f.clock.Now())
	if len(p.Components) != 3 || view.Components[0].Name != "API" || view.State != status.Operational || p.Origins[0] != "*" {
		t.Errorf("%+v", p)
	}
	if up := view.PercentUptime(f.clock.Now()); up >= 100 || up < 99 {
		t.Errorf("uptime %v", up)
	}
	if must[bool](t)(f.SeedDemo(f.ctx)) {
		t.Error("made again")
	}
	// A start that was cut short before the page is repeated, not doubled.
	if _, err := f.db.Collection("pages").DeleteMany(f.ctx, bson.D{}); err != nil {
		t.Fatal(err)
	}
	must[bool](t)(f.SeedDemo(f.ctx))
	if n := len(f.load("demo").Components); n != 3 {
		t.Errorf("%d components", n)
	}
	other := open(t)
	other.page("acme")
	if must[bool](t)(other.SeedDemo(other.ctx)) {
		t.Error("a database with a page was seeded")
	}
}

func TestPagesAndHosts(t *testing.T) {
	f := open(t)
	yes := true
	in := store.PageInput{
		ID: "acme", Name: "Acme", URL: new("https://acme.com"), Hosts: []string{"Status.Acme.com"}, Origins: []string{"*"},
		Private: &yes, Locale: new("en"), TimeZone: new("UTC"),
	}
	if !must[bool](t)(f.PutPage(f.ctx, in)) {
		t.Error("not created")
	}
	first := f.load("acme")
	want := status.Page{
		ID: "acme", Name: "Acme", URL: "https://acme.com", Hosts: []string{"status.acme.com"}, Origins: []string{"*"},
		Private: true, Locale: "en", TimeZone: "UTC", CreatedAt: f.clock.Now(),
	}
	if fmt.Sprint(first) != fmt.Sprint(want) {
		t.Errorf("\n got %v\nwant %v", first, want)
	}
	must[bool](t)(f.PutPage(f.ctx, store.PageInput{ID: "acme-too", Name: "Acme", Hosts: []string{"status.acme.com", "other.acme.com"}}))
	hosts := must[map[string]string](t)(f.Hosts(f.ctx, []string{
		"STATUS.acme.com:8443", "status.acme.com", "other.acme.com.", "acme.com", "", "a b", "*",
	}, 0))
	if want := map[string]string{"STATUS.acme.com:8443": "acme", "status.acme.com": "acme", "other.acme.com.": "acme-too"}; !maps.Equal(hosts, want) {
		t.Errorf("hosts\n got %v\nwant %v", hosts, want)
	}
	// What is not given stays: a page does not become public by being renamed.
	f.clock.advance(time.Hour)
	if must[bool](t)(f.PutPage(f.ctx, store.PageInput{ID: "acme", Name: "Acme 2", Hosts: []string{}})) {
		t.Error("created again")
	}
	want.Name, want.Hosts = "Acme 2", nil
	if got := f.load("acme"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
	_, err := f.PutPage(f.ctx, store.PageInput{ID: "acme", Name: "Acme", Origins: []string{"https://a.com/x"}})
	var input *store.InputError
	if !errors.As(err, &input) {
		t.Errorf("got %v", err)
	}
}

func TestComponents(t *testing.T) {
	f := open(t)
	f.page("acme", "API", "Website")
	f.page("other", "API")
	group, place := "Core", 0
	id, created, err := f.PutComponent(f.ctx, store.ComponentInput{Page: "acme", Name: "Website", Group: &group, Position: &place})
	if err != nil || created {
		t.Errorf("%v, %v", created, err)
	}
	p := f.load("acme")
	c := p.At(f.clock.Now()).Components
	if len(c) != 2 || c[0].ID != id || c[0].Group != "Core" || c[1].Name != "API" {
		t.Errorf("%+v", c)
	}

	f.clock.advance(time.Minute)
	if !must[bool](t)(f.SetComponentState(f.ctx, "acme", "API", "outage")) {
		t.Error("not changed")
	}
	if must[bool](t)(f.SetComponentState(f.ctx, "acme", "API", "outage")) {
		t.Error("changed to what it was")
	}
	f.clock.advance(time.Minute)
	must[bool](t)(f.SetComponentState(f.ctx, "acme", "API", "operational"))
	for _, c := range f.load("acme").Components {
		if c.Name != "API" {
			continue
		}
		var words []string
		for _, h := range c.History {
			words = append(words, h.State.String())
		}
		if got := strings.Join(words, " "); got != "operational outage operational" {
			t.Errorf("history %s", got)
		}
		if d := c.History[2].At.Sub(c.History[1].At); d != time.Minute {
			t.Errorf("down for %v", d)
		}
	}
	if s := f.load("other").Components[0].State; s != status.Operational {
		t.Errorf("the other page's component is %s", s)
	}

	var input *store.InputError
	_, err = f.SetComponentState(f.ctx, "acme", "API", "down")
	if !errors.As(err, &input) {
		t.Errorf("got %v", err)
	}
	var missing *store.NotFoundError
	_, err = f.SetComponentState(f.ctx, "acme", "Nope", "outage")
	if !errors.As(err, &missing) {
		t.Errorf("got %v", err)
	}
	_, err = f.SetComponentState(f.ctx, "nope", "API", "outage")
	refused(t, err, `no page "nope"`)

	// Made when the names were not unique yet.
	if err := f.db.Collection("components").Indexes().DropOne(f.ctx, "page_1_name_1"); err != nil {
		t.Fatal(err)
	}
	f.insert("components", bson.D{{Key: "_id", Value: "twin"}, {Key: "page", Value: "acme"}, {Key: "name", Value: "API"}})
	var conflict *store.ConflictError
	_, err = f.SetComponentState(f.ctx, "acme", "API", "outage")
	if !errors.As(err, &conflict) || !strings.Contains(err.Error(), "twin") {
		t.Errorf("got %v", err)
	}
	if !must[bool](t)(f.SetComponentState(f.ctx, "acme", "twin", "outage")) {
		t.Error("by its id it was not found")
	}
}

func TestIssueLife(t *testing.T) {
	f := open(t)
	f.page("acme", "API")
	api := f.load("acme").Components[0].ID
	id := must[string](t)(f.OpenIssue(f.ctx, store.IssueInput{
		Page: "acme", Title: "Heavy load", Body: "We *look*.", Components: []string{"API", api}, State: "degraded",
	}))
	i := f.issue("acme", id)
	if i.Kind != status.Incident || i.Label != "Investigating" || i.State != status.Degraded || i.Body.Plain != "We look." ||
		!slices.Equal(i.Components, []string{api}) || !i.CreatedAt.Equal(f.clock.Now()) {
		t.Errorf("%+v", i)
	}
	progress := 40
	f.clock.advance(time.Minute)
	if err := f.UpdateIssue(f.ctx, id, store.IssueUpdate{Progress: &progress}); err != nil {
		t.Fatal(err)
	}
	if i := f.issue("acme", id); len(i.Updates) != 0 || *i.Progress != 40 || !i.UpdatedAt.Equal(f.clock.Now()) {
		t.Errorf("%+v", i)
	}
	if err := f.UpdateIssue(f.ctx, id, store.IssueUpdate{Label: "Identified", Body: "It is the disk.", State: "outage"}); err != nil {
		t.Fatal(err)
	}
	if i := f.issue("acme", id); i.Label != "Investigating" || i.State != status.Degraded || len(i.Updates) != 1 ||
		i.Updates[0].Label != "Identified" || i.Updates[0].State != status.Outage || i.Updates[0].ID == "" {
		t.Errorf("%+v", i)
	}
	refused(t, f.UpdateIssue(f.ctx, id, store.IssueUpdate{}), "empty")
	refused(t, f.UpdateIssue(f.ctx, "nope", store.IssueUpdate{Body: "x"}), "no issue nope")
	refused(t, f.ReopenIssue(f.ctx, id, ""), "not resolved")
	refused(t, f.CancelIssue(f.ctx, id, ""), "not scheduled")

	f.clock.advance(time.Minute)
	if err := f.ResolveIssue(f.ctx, id, "Fixed."); err != nil {
		t.Fatal(err)
	}
	i = f.issue("acme", id)
	if !i.ResolvedAt.Equal(f.clock.Now()) || i.PhaseAt(f.clock.Now()) != status.Resolved || i.Updates[1].Label != "Resolved" || i.Updates[1].Body.Plain != "Fixed." {
		t.Errorf("%+v", i)
	}
	refused(t, f.ResolveIssue(f.ctx, id, ""), "already resolved")
	if n := len(f.issue("acme", id).Updates); n != 2 {
		t.Errorf("a refused write left %d updates", n)
	}
	resolved := f.clock.Now()
	f.clock.advance(20 * 24 * time.Hour)
	if err := f.ReopenIssue(f.ctx, id, "Not fixed."); err != nil {
		t.Fatal(err)
	}
	if i := f.issue("acme", id); i.PhaseAt(f.clock.Now()) != status.Standing || i.Updates[2].Label != "Reopened" || !i.Updates[2].ResolvedAt.Equal(resolved) {
		t.Errorf("%+v", i)
	}
	// It has been an outage for a minute.
	p := f.load("acme")
	view := p.At(f.clock.Now())
	if got := status.FormatPercent(view.PercentUptime(f.clock.Now())); got != "99.99" {
		t.Errorf("reopening made it %s %%", got)
	}
}

func TestScheduledIssueLife(t *testing.T) {
	f := open(t)
	f.page("acme", "API")
	now := f.clock.Now()
	schedule := func(starts, ends time.Duration) string {
		t.Helper()
		in := store.IssueInput{Page: "acme", Title: "Upgrade", StartsAt: now.Add(starts)}
		if ends != 0 {
			in.EndsAt = now.Add(ends)
		}
		return must[string](t)(f.ScheduleIssue(f.ctx, in))
	}
	soon := schedule(time.Hour, 2*time.Hour)
	if i := f.issue("acme", soon); i.Kind != status.Maintenance || i.PhaseAt(now) != status.Upcoming || i.Label != "Scheduled" ||
		!i.Schedule.EndsAt.Equal(now.Add(2*time.Hour)) {
		t.Errorf("%+v", i)
	}
	refused(t, f.ResolveIssue(f.ctx, soon, ""), "not started")
	called := schedule(time.Hour, 0)
	if err := f.CancelIssue(f.ctx, called, "Not today."); err != nil {
		t.Fatal(err)
	}
	refused(t, f.CancelIssue(f.ctx, called, ""), "is cancelled")
	refused(t, f.ResolveIssue(f.ctx, called, ""), "is cancelled")
	refused(t, f.ReopenIssue(f.ctx, called, ""), "is cancelled")

	f.clock.advance(90 * time.Minute) // soon is running
	if err := f.ResolveIssue(f.ctx, soon, "Early."); err != nil {
		t.Fatal(err)
	}
	if err := f.ReopenIssue(f.ctx, soon, ""); err != nil {
		t.Fatal(err)
	}
	if phase := f.issue("acme", soon).PhaseAt(f.clock.Now()); phase != status.Standing {
		t.Errorf("phase %v", phase)
	}
	if err := f.ResolveIssue(f.ctx, soon, ""); err != nil {
		t.Fatal(err)
	}
	f.clock.advance(time.Hour) // its end has come
	refused(t, f.ReopenIssue(f.ctx, soon, ""), "end has come")
	over := schedule(time.Hour, 3*time.Hour)
	f.clock.advance(time.Hour)
	refused(t, f.ResolveIssue(f.ctx, over, ""), "already ended")
	refused(t, f.CancelIssue(f.ctx, over, ""), "already ended")

	_, err := f.ScheduleIssue(f.ctx, store.IssueInput{Page: "acme", Title: "x", StartsAt: now, EndsAt: now.Add(-time.Hour)})
	refused(t, err, "must be after the start")
	_, err = f.ScheduleIssue(f.ctx, store.IssueInput{Page: "acme", Title: "x", StartsAt: now, EndsAt: now.Add(time.Second)})
	refused(t, err, "has passed")
}

// Who comes second is told so, and leaves nothing behind.
func TestResolvingTwice(t *testing.T) {
	f := open(t)
	f.page("acme")
	id := must[string](t)(f.OpenIssue(f.ctx, store.IssueInput{Page: "acme", Title: "Bad"}))
	if err := f.ResolveIssue(f.ctx, id, ""); err != nil {
		t.Fatal(err)
	}
	before := f.issue("acme", id)
	for range 3 {
		refused(t, f.ResolveIssue(f.ctx, id, "again"), "already resolved")
	}
	if after := f.issue("acme", id); fmt.Sprint(before.Updates) != fmt.Sprint(after.Updates) {
		t.Errorf("%v became %v", before.Updates, after.Updates)
	}
}

func TestOldIssues(t *testing.T) {
	f := open(t)
	f.page("acme")
	now := f.clock.Now()
	day := func(n int) time.Time { return now.AddDate(0, 0, -n) }
	doc := func(id string, fields ...bson.E) bson.D {
		return append(bson.D{{Key: "_id", Value: id}, {Key: "page", Value: "acme"}, {Key: "title", Value: id}, {Key: "created_at", Value: day(90)}}, fields...)
	}
	field := func(key string, value any) bson.E { return bson.E{Key: key, Value: value} }
	scheduled := func(starts, ends any) bson.E {
		return field("schedule", bson.D{{Key: "starts_at", Value: starts}, {Key: "ends_at", Value: ends}})
	}
	names := func(ids ...any) bson.E { return field("components", bson.A(ids)) }
	oid := bson.NewObjectID()
	f.insert("issues",
		doc("standing"),
		doc("null", field("resolved_at", nil), field("schedule", nil), field("ended_at", nil), field("cancelled_at", nil)),
		doc("unscheduled, ended", field("ended_at", day(60))), // ended_at alone ends only what is scheduled
		doc("resolved in the window", field("resolved_at", day(29)), names("api")),
		doc("resolved in the future", field("resolved_at", now.Add(time.Hour))),
		doc("upcoming", scheduled(now.Add(time.Hour), nil)),
		doc("open end", scheduled(day(80), nil)),
		doc("ended in the window", scheduled(day(80), day(10))),

		doc("old", field("resolved_at", day(40)), names("api", oid)),
		doc("older", field("resolved_at", day(50)), names("api", "web")),
		doc("old, of nothing", field("resolved_at", day(45))),
		doc("old, ended before resolved", field("ended_at", day(44)), field("resolved_at", day(35)), names("db")),
		doc("old, resolved before its start", field("kind", "incident"), scheduled(day(20), nil), field("resolved_at", day(32)), names("x5", "api")),
		doc("old, ended before its start", field("kind", "incident"), scheduled(day(20), nil), field("ended_at", day(33)), names("x5", "mail")),
		doc("old, begun early", field("kind", "incident"), scheduled(day(20), nil), field("began_at", day(40)), field("resolved_at", day(39)), names("x6")),
		doc("old, scheduled incident", field("kind", "incident"), scheduled(day(80), day(70)), names("mail")),
		doc("old, cancelled", field("cancelled_at", day(40)), field("resolved_at", day(40)), names("api", "x1")),
		doc("old maintenance", scheduled(day(80), day(31)), names("x2")),
		doc("old maintenance, ended", scheduled(day(80), nil), field("ended_at", day(31)), names("x3")),
		doc("old information", field("kind", "informational"), field("resolved_at", day(31)), names("x4")),
	)
	f.insert("issues", bson.D{{Key: "_id", Value: "elsewhere"}, {Key: "page", Value: "other"}, {Key: "title", Value: "x"}, {Key: "created_at", Value: now}})
	p := f.load("acme")
	var got []string
	for _, i := range p.Issues {
		got = append(got, i.ID)
	}
	slices.Sort(got)
	want := []string{"ended in the window", "null", "open end", "resolved in the future", "resolved in the window", "standing", "unscheduled, ended", "upcoming"}
	if !slices.Equal(got, want) {
		t.Errorf("issues\n got %q\nwant %q", got, want)
	}
	// A page, and its components, have an incident from before the window.
	scopes := []string{"", "api", oid.Hex(), "web", "db", "mail", "x1", "x2", "x3", "x4", "x5", "x6", "nothing"}
	past := must[map[string]map[string]time.Time](t)(f.PastIncidents(f.ctx, map[string][]string{
		"acme": scopes, "other": {""}, "none": {"", "api"}, "Not A Slug": {""},
	}, 0))
	wantPast := map[string]map[string]time.Time{"acme": {
		"": day(39), "x6": day(39), "api": day(40), oid.Hex(): day(40), "web": day(50), "db": day(44), "mail": day(70),
	}}
	if fmt.Sprint(past) != fmt.Sprint(wantPast) {
		t.Errorf("past incidents\n got %v\nwant %v", past, wantPast)
	}

	// One component alone is asked for one document at a time.
	alone := must[map[string]map[string]time.Time](t)(f.PastIncidents(f.ctx, map[string][]string{"acme": {"api"}}, 0))
	if !alone["acme"]["api"].Equal(day(40)) {
		t.Errorf("past incidents of one component: %v, want %v", alone, day(40))
	}

	// One issue, however old, is there for a link that leads to it.
	ref := func(page, id string) store.IssueRef { return store.IssueRef{Page: page, ID: id} }
	issues := must[map[store.IssueRef]status.Issue](t)(f.Issues(f.ctx, []store.IssueRef{
		ref("acme", "older"), ref("acme", "elsewhere"), ref("other", "elsewhere"), ref("other", "older"), ref("A", "older"), ref("acme", ""),
	}, 0))
	if len(issues) != 2 || issues[ref("acme", "older")].Title != "older" || issues[ref("other", "elsewhere")].Title != "x" {
		t.Errorf("%+v", issues)
	}
}

func TestIdsOfEveryKind(t *testing.T) {
	f := open(t)
	f.page("acme")
	oid := bson.NewObjectID()
	uuid := bson.Binary{Subtype: 4, Data: []byte("0123456789abcdef")}
	for i, id := range []any{oid, "text", int32(7), int64(8), uuid} {
		f.insert("components", bson.D{{Key: "_id", Value: id}, {Key: "page", Value: "acme"}, {Key: "name", Value: fmt.Sprint("c", i)}, {Key: "state", Value: "operational"}})
		f.insert("issues", bson.D{{Key: "_id", Value: id}, {Key: "page", Value: "acme"}, {Key: "title", Value: "x"},
			{Key: "components", Value: bson.A{id}}, {Key: "created_at", Value: f.clock.Now()}})
	}
	p := f.load("acme")
	if len(p.Components) != 5 || len(p.Issues) != 5 {
		t.Fatalf("%d components, %d issues", len(p.Components), len(p.Issues))
	}
	for _, i := range p.Issues {
		if !slices.Equal(i.Components, []string{i.ID}) {
			t.Errorf("issue %s names %q", i.ID, i.Components)
		}
		ref := store.IssueRef{Page: "acme", ID: i.ID}
		if issues, err := f.Issues(f.ctx, []store.IssueRef{ref}, 0); len(issues) != 1 || err != nil {
			t.Errorf("issue %s: %v, %v", i.ID, issues, err)
		}
		if err := f.ResolveIssue(f.ctx, i.ID, ""); err != nil {
			t.Errorf("issue %s: %v", i.ID, err)
		}
		if changed, err := f.SetComponentState(f.ctx, "acme", i.ID, "outage"); err != nil || !changed {
			t.Errorf("component %s: %t, %v", i.ID, changed, err)
		}
	}
}

// What a stranger puts into a URL is an id and nothing else, and the database
// goes on answering.
func TestHostileIds(t *testing.T) {
	f := open(t)
	f.page("acme")
	f.insert("issues", bson.D{{Key: "_id", Value: "unlisted-7"}, {Key: "page", Value: "acme"}, {Key: "title", Value: "x"}, {Key: "created_at", Value: f.clock.Now()}})
	for _, id := range []string{
		`{"$minKey":1}`, `{"$maxKey":1}`, `{"$regularExpression":{"pattern":"^unlisted","options":""}}`, `{"$ne":null}`,
		`{"$gt":""}`, `{"$numberDecimal":"1"}`, `{"$undefined":true}`, "\x00", "\xff",
	} {
		ref := store.IssueRef{Page: "acme", ID: id}
		if issues, err := f.Issues(f.ctx, []store.IssueRef{ref}, 0); err != nil || len(issues) != 0 {
			t.Errorf("%q: %v, %v", id, issues, err)
		}
	}
	ref := store.IssueRef{Page: "acme", ID: "unlisted-7"}
	if issues, err := f.Issues(f.ctx, []store.IssueRef{ref}, 0); err != nil || len(issues) != 1 {
		t.Errorf("afterwards: %v, %v", issues, err)
	}
}

// The histories that are pushed to forget their beginning.
func TestListsForgetTheirBeginning(t *testing.T) {
	f := open(t)
	f.page("acme", "API")
	var history bson.A
	for i := range schema.MaxHistory {
		history = append(history, bson.D{{Key: "state", Value: "outage"}, {Key: "at", Value: f.clock.Now().Add(time.Duration(i-schema.MaxHistory) * time.Second)}})
	}
	written(t)(f.db.Collection("components").UpdateOne(f.ctx, bson.D{{Key: "name", Value: "API"}}, bson.D{{Key: "$set", Value: bson.D{{Key: "history", Value: history}}}}))
	must[bool](t)(f.SetComponentState(f.ctx, "acme", "API", "degraded"))
	var c struct{ History []struct{ State string } }
	if err := f.db.Collection("components").FindOne(f.ctx, bson.D{{Key: "name", Value: "API"}}).Decode(&c); err != nil {
		t.Fatal(err)
	}
	if n := len(c.History); n != schema.MaxHistory || c.History[n-1].State != "degraded" {
		t.Errorf("%d entries, the last %+v", n, c.History[n-1])
	}
}

// A write that shows nothing leaves the hash as it is; one that does, does not.
func TestUnchangedPagesHaveOneHash(t *testing.T) {
	f := open(t)
	f.page("acme", "API", "Website")
	must[string](t)(f.OpenIssue(f.ctx, store.IssueInput{Page: "acme", Title: "Bad", Body: "It is **bad**."}))
	hash := func() uint64 {
		pages, _, err := f.Load(f.ctx, []string{"acme"}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return pages["acme"].Hash
	}
	first := hash()
	f.clock.advance(time.Hour)
	for _, collection := range []string{"pages", "components"} {
		written(t)(f.db.Collection(collection).UpdateMany(f.ctx, bson.D{}, bson.D{{Key: "$set", Value: bson.D{
			{Key: "updated_at", Value: f.clock.Now()}, {Key: "own", Value: "the application's"},
		}}}))
	}
	if hash() != first {
		t.Error("what is not shown changes the hash")
	}
	must[bool](t)(f.SetComponentState(f.ctx, "acme", "API", "outage"))
	if hash() == first {
		t.Error("what is shown does not change the hash")
	}
}

// Documents that do not fit are left out, and the page goes on.
func TestMisfits(t *testing.T) {
	f := open(t)
	if os.Getenv("STATUSTAIL_TEST_MONGODB_URI") != "" {
		t.Skip("a real MongoDB refuses them")
	}
	f.page("acme", "API")
	f.insert("pages", bson.D{{Key: "_id", Value: "broken"}, {Key: "name", Value: 5}})
	f.insert("components", bson.D{{Key: "_id", Value: "bad"}, {Key: "page", Value: "acme"}, {Key: "name", Value: "Bad"}, {Key: "state", Value: "down"}})
	f.insert("issues",
		bson.D{{Key: "_id", Value: "no title"}, {Key: "page", Value: "acme"}, {Key: "created_at", Value: f.clock.Now()}},
		bson.D{{Key: "_id", Value: "bad time"}, {Key: "page", Value: "acme"}, {Key: "title", Value: "x"}, {Key: "created_at", Value: f.clock.Now()}, {Key: "resolved_at", Value: "yesterday"}},
		bson.D{{Key: "_id", Value: "good"}, {Key: "page", Value: "acme"}, {Key: "title", Value: "x"}, {Key: "created_at", Value: f.clock.Now()}},
	)
	// A page that cannot be read is there all the same.
	pages, _, err := f.Load(f.ctx, []string{"acme", "broken", "absent"}, 0)
	if err != nil || len(pages) != 2 {
		t.Fatalf("%v, %v", pages, err)
	}
	if _, err := pages["broken"].Decode(); err == nil {
		t.Error("the broken page was read")
	}
	if p := must[status.Page](t)(pages["acme"].Decode()); len(p.Components) != 1 || len(p.Issues) != 1 || p.Issues[0].ID != "good" {
		t.Errorf("%+v", p)
	}
	refused(t, f.ResolveIssue(f.ctx, "bad time", ""), "does not fit the schema")
}

func TestEvents(t *testing.T) {
	f := open(t)
	f.page("acme")
	id := must[string](t)(f.Publish(f.ctx, store.EventInput{
		Page: "acme", Name: "deploy", Key: "k", Data: []byte(`{"b":1,"a":[1.5,null,"x",true]}`),
	}))
	oid, _ := bson.ObjectIDFromHex(id)
	var doc bson.D
	if err := f.db.Collection("events").FindOne(f.ctx, bson.D{{Key: "_id", Value: oid}}).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	want := bson.D{
		{Key: "_id", Value: oid}, {Key: "page", Value: "acme"}, {Key: "name", Value: "deploy"},
		{Key: "data", Value: bson.D{{Key: "b", Value: int64(1)}, {Key: "a", Value: bson.A{1.5, nil, "x", true}}}},
		{Key: "created_at", Value: bson.NewDateTimeFromTime(f.clock.Now())}, {Key: "key", Value: "k"},
	}
	if fmt.Sprint(doc) != fmt.Sprint(want) {
		t.Errorf("\n got %v\nwant %v", doc, want)
	}
	_, err := f.Publish(f.ctx, store.EventInput{Page: "nope", Name: "deploy", Data: []byte("1")})
	refused(t, err, `no page "nope"`)

	created := f.clock.Now()
	f.clock.advance(time.Hour)
	must[string](t)(f.Publish(f.ctx, store.EventInput{Page: "acme", Name: "deploy", Data: []byte("2")}))
	if n := must[int64](t)(f.TrimEvents(f.ctx, created.Add(time.Minute))); n != 1 {
		t.Errorf("%d removed", n)
	}
	if n := must[int64](t)(f.db.Collection("events").CountDocuments(f.ctx, bson.D{})); n != 1 {
		t.Errorf("%d left", n)
	}
}

// Init changes nothing that is there, however often it runs.
func TestInitIsIdempotent(t *testing.T) {
	f := open(t)
	f.page("acme", "API")
	before := f.load("acme")
	for range 2 {
		if _, err := f.Init(f.ctx, store.InitOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if after := f.load("acme"); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("%v became %v", before, after)
	}
}

// More pages than one query asks for, with more documents than one batch
// holds.
func TestManyPagesAtOnce(t *testing.T) {
	f := open(t)
	var docs []any
	var slugs []string
	for i := range 1200 {
		slugs = append(slugs, fmt.Sprintf("p-%d", i))
		docs = append(docs, bson.D{{Key: "_id", Value: slugs[i]}, {Key: "name", Value: "x"}})
	}
	f.insert("pages", docs...)
	pages, _, err := f.Load(f.ctx, append(slugs, "missing"), 0)
	if err != nil || len(pages) != 1200 {
		t.Errorf("%d pages, %v", len(pages), err)
	}
}

// However incidents are spread over pages, and whichever field says that they
// ended, the newest end is found: compared with looking at each.
func TestPastIncidentsOfMany(t *testing.T) {
	f := open(t)
	random := rand.New(rand.NewPCG(1, 2))
	now := f.clock.Now()
	old := func() time.Time {
		return now.Add(-status.Window - time.Hour*time.Duration(random.IntN(5000)))
	}
	maybe := func(n int) bool { return random.IntN(n) == 0 }
	wanted, want := map[string][]string{}, map[string]map[string]time.Time{}
	var docs []any
	for i := range 200 {
		// Half of all on one page, most of the rest on a few.
		slug := fmt.Sprint("p-", max(random.IntN(60)-30, 0)*max(random.IntN(3), 0))
		component := fmt.Sprint(slug, "-", random.IntN(3))
		wanted[slug] = []string{"", slug + "-0", slug + "-1", slug + "-2", slug + "-3"}
		doc := bson.D{{Key: "_id", Value: i}, {Key: "page", Value: slug}, {Key: "title", Value: "x"}, {Key: "created_at", Value: now}, {Key: "components", Value: bson.A{component, "else", "p-0-3"}}}
		set := func(key string, value any) { doc = append(doc, bson.E{Key: key, Value: value}) }
		var end, starts time.Time
		over, incident, scheduled := false, true, maybe(3)
		if scheduled {
			ends := old()
			starts = ends.Add(-time.Hour)
			set("schedule", bson.D{{Key: "starts_at", Value: starts}, {Key: "ends_at", Value: ends}})
			end, over, incident = ends, true, false
		}
		if maybe(2) {
			end, over = old(), true
			set("resolved_at", end)
		}
		if maybe(3) {
			ended := old()
			set("ended_at", ended)
			if over {
				end = ended
			}
		}
		switch random.IntN(3) {
		case 0:
			set("kind", "incident")
			incident = true
		case 1:
			set("kind", "maintenance")
			incident = false
		}
		if maybe(6) {
			set("cancelled_at", old())
			over = false
		}
		docs = append(docs, doc)
		if !over || !incident || !end.After(starts) {
			continue
		}
		if want[slug] == nil {
			want[slug] = map[string]time.Time{}
		}
		scopes := []string{"", component}
		if slug == "p-0" {
			scopes = append(scopes, "p-0-3") // which incidents of all pages name
		}
		for _, scope := range scopes {
			if end.After(want[slug][scope]) {
				want[slug][scope] = end
			}
		}
	}
	f.insert("issues", docs...)
	got := must[map[string]map[string]time.Time](t)(f.PastIncidents(f.ctx, wanted, 0))
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("of %d pages\n got %v\nwant %v", len(wanted), got, want)
	}
}

// Incidents of one page that name a component of another, which they cannot
// mean, hide none of that other's.
func TestPastIncidentsOfAnotherPage(t *testing.T) {
	f := open(t)
	before := f.clock.Now().Add(-status.Window)
	incident := func(page string, hours int) bson.D {
		over := before.Add(-time.Duration(hours) * time.Hour)
		return bson.D{{Key: "page", Value: page}, {Key: "title", Value: "x"}, {Key: "kind", Value: "incident"}, {Key: "components", Value: bson.A{"a-1"}},
			{Key: "created_at", Value: over}, {Key: "resolved_at", Value: over}}
	}
	docs := []any{incident("a", 100)}
	for i := range 20 {
		docs = append(docs, incident("b", 1+i))
	}
	f.insert("issues", docs...)
	got := must[map[string]map[string]time.Time](t)(f.PastIncidents(f.ctx, map[string][]string{"a": {"a-1"}, "b": {"b-1"}}, 0))
	if want := before.Add(-100 * time.Hour); len(got) != 1 || !got["a"]["a-1"].Equal(want) {
		t.Errorf("got %v, want a-1 of a until %v", got, want)
	}
}
