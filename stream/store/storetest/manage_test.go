package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/status"
	"statustail/stream/store"
)

func ids[T any](records []store.Record[T]) (ids []string) {
	for _, r := range records {
		ids = append(ids, r.ID)
	}
	return ids
}

// Who gives a part of a page need not know its name.
func TestPutPageWithoutItsName(t *testing.T) {
	f := open(t)
	_, err := f.PutPage(f.ctx, store.PageInput{ID: "acme", Private: new(true)})
	refused(t, err, "a new one needs a name")
	if !errors.As(err, new(*store.NotFoundError)) {
		t.Errorf("%T", err)
	}
	f.page("acme")
	if must[bool](t)(f.PutPage(f.ctx, store.PageInput{ID: "acme", Private: new(true)})) {
		t.Error("created again")
	}
	if p := f.load("acme"); p.Name != "ACME" || !p.Private {
		t.Errorf("%+v", p)
	}
}

func TestEditPage(t *testing.T) {
	f := open(t)
	refused(t, f.EditPage(f.ctx, store.PageInput{ID: "acme", Name: "Acme"}), "no page")
	f.page("acme")
	refused(t, f.EditPage(f.ctx, store.PageInput{ID: "acme"}), "is empty")
	refused(t, f.EditPage(f.ctx, store.PageInput{ID: "acme", URL: new("x")}), "want an address")
	edit := func(in store.PageInput) status.Page {
		t.Helper()
		if err := f.EditPage(f.ctx, in); err != nil {
			t.Fatal(err)
		}
		return f.load("acme")
	}
	if p := edit(store.PageInput{ID: "acme", Name: "Acme", URL: new("https://acme.com"), Locale: new("de")}); p.Name != "Acme" || p.URL != "https://acme.com" || p.Locale != "de" {
		t.Errorf("%+v", p)
	}
	if p := edit(store.PageInput{ID: "acme", URL: new("")}); p.Name != "Acme" || p.URL != "" || p.Locale != "de" {
		t.Errorf("%+v", p)
	}
}

func TestEditComponent(t *testing.T) {
	f := open(t)
	f.page("acme", "API", "Website")
	id := must[string](t)(f.EditComponent(f.ctx, "API", store.ComponentInput{Page: "acme", Name: "REST", Group: new("Core")}))
	p := f.load("acme")
	view, _ := p.At(f.clock.Now()).Component(id)
	if c := view.Components[0]; c.Name != "REST" || c.Group != "Core" || c.State != status.Operational {
		t.Errorf("%+v", c)
	}
	for words, edit := range map[string]func() (string, error){
		"a component \"Website\" already": func() (string, error) {
			return f.EditComponent(f.ctx, id, store.ComponentInput{Page: "acme", Name: "Website"})
		},
		"no component": func() (string, error) {
			return f.EditComponent(f.ctx, "API", store.ComponentInput{Page: "acme", Name: "x"})
		},
		"is empty": func() (string, error) { return f.EditComponent(f.ctx, id, store.ComponentInput{Page: "acme"}) },
	} {
		_, err := edit()
		refused(t, err, words)
	}
}

func TestEditIssue(t *testing.T) {
	f := open(t)
	f.page("acme", "API", "Website")
	id := must[string](t)(f.OpenIssue(f.ctx, store.IssueInput{Page: "acme", Title: "Bad", Body: "x", State: "outage", Components: []string{"API"}}))
	edit := func(id string, in store.IssueEdit) *status.Issue {
		t.Helper()
		if err := f.EditIssue(f.ctx, id, in); err != nil {
			t.Fatal(err)
		}
		return f.issue("acme", id)
	}
	i := edit(id, store.IssueEdit{Title: new("Worse"), Body: new(""), State: new(""), Components: []string{"Website", "Website"}})
	if i.Title != "Worse" || i.Body.Plain != "" || i.State != status.Pending || len(i.Components) != 1 || i.Label != "Investigating" {
		t.Errorf("%+v", i)
	}
	if i := edit(id, store.IssueEdit{Kind: new("informational"), Components: []string{}}); i.Kind != status.Informational || len(i.Components) != 0 {
		t.Errorf("%+v", i)
	}
	now := f.clock.Now()
	planned := must[string](t)(f.ScheduleIssue(f.ctx, store.IssueInput{Page: "acme", Title: "x", StartsAt: now.Add(time.Hour), EndsAt: now.Add(2 * time.Hour)}))
	if i := edit(planned, store.IssueEdit{StartsAt: new(now.Add(90 * time.Minute))}); !i.Schedule.StartsAt.Equal(now.Add(90*time.Minute)) || !i.Schedule.EndsAt.Equal(now.Add(2*time.Hour)) {
		t.Errorf("%+v", i.Schedule)
	}
	if i := edit(planned, store.IssueEdit{EndsAt: &time.Time{}}); !i.Schedule.EndsAt.IsZero() {
		t.Errorf("%+v", i.Schedule)
	}
	refused(t, f.EditIssue(f.ctx, planned, store.IssueEdit{EndsAt: &now}), "after the start")
	refused(t, f.EditIssue(f.ctx, id, store.IssueEdit{StartsAt: &now}), "not scheduled")
	refused(t, f.EditIssue(f.ctx, id, store.IssueEdit{Components: []string{"nope"}}), "no component")
	refused(t, f.EditIssue(f.ctx, id, store.IssueEdit{}), "is empty")
	refused(t, f.EditIssue(f.ctx, "nope", store.IssueEdit{Title: new("x")}), "no issue")
	refused(t, f.EditIssue(f.ctx, id, store.IssueEdit{State: new("bad")}), "want operational")
}

func TestRecords(t *testing.T) {
	f := open(t)
	f.page("b")
	f.page("acme", "API", "Website")
	f.insert("pages", bson.D{{Key: "_id", Value: "broken"}, {Key: "name", Value: 1}})
	pages := must[[]store.Record[status.Page]](t)(f.ListPages(f.ctx))
	if got := ids(pages); !slices.Equal(got, []string{"acme", "b", "broken"}) || !pages[0].Fits || pages[2].Fits || pages[0].Value.Name != "ACME" {
		t.Errorf("%v %+v", got, pages)
	}
	components := must[[]store.Record[status.Component]](t)(f.ListComponents(f.ctx, "acme"))
	if len(components) != 2 || components[0].Value.Name != "API" || components[1].Page != "acme" {
		t.Errorf("%+v", components)
	}
	if c, err := f.GetComponent(f.ctx, "acme", "API"); err != nil || c.ID != components[0].ID {
		t.Errorf("%+v, %v", c, err)
	}

	now := f.clock.Now()
	issue := func(id string, minutes int, fields ...bson.E) bson.D {
		return append(bson.D{{Key: "_id", Value: id}, {Key: "page", Value: "acme"}, {Key: "title", Value: id},
			{Key: "created_at", Value: now.Add(time.Duration(minutes) * time.Minute)}}, fields...)
	}
	f.insert("issues",
		issue("standing", -10), issue("over", -20, bson.E{Key: "resolved_at", Value: now.Add(-time.Minute)}),
		issue("ahead", -30, bson.E{Key: "resolved_at", Value: now.Add(time.Hour)}),
		issue("upcoming", -40, bson.E{Key: "schedule", Value: bson.D{{Key: "starts_at", Value: now.Add(time.Hour)}}}),
		issue("unfit", -50, bson.E{Key: "progress", Value: "much"}),
		issue("ancient", -90*24*60, bson.E{Key: "resolved_at", Value: now.AddDate(0, 0, -80)}))
	for want, list := range map[string]struct {
		all bool
		n   int
	}{
		"[standing upcoming unfit]": {false, 50},
		"[standing]":                {false, 1},
		"[standing over ahead upcoming unfit ancient]": {true, 50},
		"[standing over ahead upcoming unfit]":         {true, 5},
	} {
		if got := ids(must[[]store.Record[status.Issue]](t)(f.ListIssues(f.ctx, "acme", list.all, list.n))); fmt.Sprint(got) != want {
			t.Errorf("%+v: %v, want %s", list, got, want)
		}
	}
	one := must[store.Record[status.Issue]](t)(f.GetIssue(f.ctx, "ancient"))
	var doc map[string]any
	if err := json.Unmarshal(one.JSON, &doc); err != nil || doc["title"] != "ancient" || one.Page != "acme" ||
		doc["resolved_at"] != now.AddDate(0, 0, -80).Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("%s, %v", one.JSON, err)
	}
	for words, err := range map[string]error{
		"no page \"nope\"":      func() error { _, err := f.ListComponents(f.ctx, "nope"); return err }(),
		"no page \"none\"":      func() error { _, err := f.ListIssues(f.ctx, "none", true, 1); return err }(),
		"no page \"nowhere\"":   func() error { _, err := f.GetPage(f.ctx, "nowhere"); return err }(),
		"no component \"nope\"": func() error { _, err := f.GetComponent(f.ctx, "acme", "nope"); return err }(),
		"no issue nope":         func() error { _, err := f.GetIssue(f.ctx, "nope"); return err }(),
	} {
		refused(t, err, words)
	}
}

func TestDelete(t *testing.T) {
	f := open(t)
	f.page("acme", "API", "Website")
	f.page("other", "API")
	id := must[string](t)(f.OpenIssue(f.ctx, store.IssueInput{Page: "acme", Title: "One"}))
	must[string](t)(f.OpenIssue(f.ctx, store.IssueInput{Page: "acme", Title: "Two"}))
	if err := f.DeleteIssue(f.ctx, id); err != nil {
		t.Fatal(err)
	}
	refused(t, f.DeleteIssue(f.ctx, id), "no issue")
	must[string](t)(f.DeleteComponent(f.ctx, "acme", "Website"))
	_, err := f.DeleteComponent(f.ctx, "acme", "Website")
	refused(t, err, "no component")
	if p := f.load("acme"); len(p.Issues) != 1 || len(p.Components) != 1 {
		t.Errorf("%+v", p)
	}

	// A deletion that ended after the page had gone is finished by another.
	f.insert("components", bson.D{{Key: "_id", Value: "left"}, {Key: "page", Value: "gone"}, {Key: "name", Value: "x"}})
	for slug, want := range map[string]store.Contents{"acme": {Components: 1, Issues: 1}, "gone": {Components: 1}} {
		if got := must[store.Contents](t)(f.PageContents(f.ctx, slug)); got != want {
			t.Errorf("%s has %+v", slug, got)
		}
		if got := must[store.Contents](t)(f.DeletePage(f.ctx, slug)); got != want {
			t.Errorf("of %s went %+v", slug, got)
		}
		_, err := f.DeletePage(f.ctx, slug)
		refused(t, err, "no page")
		_, err = f.PageContents(f.ctx, slug)
		refused(t, err, "no page")
	}
	for _, collection := range []string{"pages", "components", "issues"} {
		if n, _ := f.db.Collection(collection).CountDocuments(f.ctx, bson.D{}); n > 1 {
			t.Errorf("%d of %s are left", n, collection)
		}
	}
	if p := f.load("other"); len(p.Components) != 1 {
		t.Errorf("of another page went something: %+v", p)
	}
}
