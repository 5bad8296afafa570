package storetest

import (
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/store"
)

// Putting a component twice at once makes one.
func TestPutComponentAtOnce(t *testing.T) {
	f := open(t)
	f.page("acme")
	const writers = 8
	ids := make([]string, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			id, _, err := f.PutComponent(f.ctx, store.ComponentInput{Page: "acme", Name: "API"})
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	p := f.load("acme")
	if len(p.Components) != 1 {
		t.Fatalf("%d components", len(p.Components))
	}
	for _, id := range ids {
		if id != p.Components[0].ID {
			t.Errorf("put as %s, and there is %s", id, p.Components[0].ID)
		}
	}
}

// Data that was doubled before does not stop init, which says so; once it is
// put right, init makes the index.
func TestInitOverDuplicates(t *testing.T) {
	f := open(t)
	f.page("acme", "API")
	if err := f.db.Collection("components").Indexes().DropOne(f.ctx, "page_1_name_1"); err != nil {
		t.Fatal(err)
	}
	f.insert("components", bson.D{{Key: "_id", Value: "twin"}, {Key: "page", Value: "acme"}, {Key: "name", Value: "API"}})
	for range 2 {
		report := must[store.InitReport](t)(f.Init(f.ctx, store.InitOptions{}))
		if text := strings.Join(report.Skipped, "\n"); !strings.Contains(text, "page_1_name_1 on components is not unique") {
			t.Errorf("not said: %q", text)
		}
	}
	if n := len(f.load("acme").Components); n != 2 {
		t.Errorf("%d components", n)
	}
	if _, err := f.db.Collection("components").DeleteOne(f.ctx, bson.D{{Key: "_id", Value: "twin"}}); err != nil {
		t.Fatal(err)
	}
	report := must[store.InitReport](t)(f.Init(f.ctx, store.InitOptions{}))
	if text := strings.Join(report.Done, "\n"); !strings.Contains(text, "page_1_name_1 on components replaced") {
		t.Errorf("not said: %q", text)
	}
	if _, err := f.db.Collection("components").InsertOne(f.ctx, bson.D{{Key: "_id", Value: "twin"}, {Key: "page", Value: "acme"}, {Key: "name", Value: "API"}}); err == nil {
		t.Error("a component can be there twice")
	}
}
