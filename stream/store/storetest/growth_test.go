package storetest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/internal/mongotest"
	"statustail/stream/schema"
	"statustail/stream/status"
	"statustail/stream/store"
)

// A watch sees what a client asks a server for, and what comes back.
type watch struct {
	mu       sync.Mutex
	queries  []bson.Raw // find and aggregate
	returned int        // documents
}

func (w *watch) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{
		Started: func(_ context.Context, e *event.CommandStartedEvent) {
			if e.CommandName == "find" || e.CommandName == "aggregate" {
				w.mu.Lock()
				w.queries = append(w.queries, append(bson.Raw(nil), e.Command...))
				w.mu.Unlock()
			}
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, batch := range []string{"firstBatch", "nextBatch"} {
				if list, ok := e.Reply.Lookup("cursor", batch).ArrayOK(); ok {
					docs, _ := list.Values()
					w.returned += len(docs)
				}
			}
		},
	}
}

// take is what was seen since the last time.
func (w *watch) take() (queries []bson.Raw, returned int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	queries, returned = w.queries, w.returned
	w.queries, w.returned = nil, 0
	return queries, returned
}

func watched(t testing.TB, uri, database string) (*store.Store, *mongo.Database, *watch) {
	t.Helper()
	w := &watch{}
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetMonitor(w.monitor()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	db := client.Database(database)
	return store.New(db, store.Config{}), db, w
}

// readAll does every read that keeps pages true, and looks at the first.
func readAll(t testing.TB, s *store.Store, slugs ...string) (page status.Page, past map[string]map[string]time.Time) {
	t.Helper()
	ctx := t.Context()
	pages, at, err := s.Load(ctx, slugs, 0)
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string][]string{}
	for _, slug := range slugs {
		wanted[slug] = []string{""}
	}
	if page, err = pages[slugs[0]].Decode(); err != nil {
		t.Fatal(err)
	}
	for _, c := range page.Components {
		wanted[slugs[0]] = append(wanted[slugs[0]], c.ID)
	}
	if past, err = s.PastIncidents(ctx, wanted, at); err != nil {
		t.Fatal(err)
	}
	return page, past
}

// What a load is sent does not grow with what was long ago: counted in
// documents, on the scripted server.
func TestReadsDoNotGrowWithHistory(t *testing.T) {
	s, db, w := watched(t, mongotest.Start(t).URI(), "statustail")
	ctx, now := t.Context(), time.Now().UTC().Truncate(time.Millisecond)
	if _, err := s.Init(ctx, store.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	pages := []string{"acme", "quiet", "small"}
	for _, page := range pages {
		if _, err := s.PutPage(ctx, store.PageInput{ID: page, Name: page}); err != nil {
			t.Fatal(err)
		}
	}
	component := func(id string, changes int) bson.D {
		history := make(bson.A, 0, changes)
		for i := range changes {
			history = append(history, bson.D{{Key: "state", Value: []string{"operational", "outage"}[i%2]}, {Key: "at", Value: now.Add(time.Duration(i-changes) * time.Minute)}})
		}
		return bson.D{{Key: "_id", Value: id}, {Key: "page", Value: "acme"}, {Key: "name", Value: id}, {Key: "state", Value: "operational"}, {Key: "history", Value: history}}
	}
	incident := func(page string, days int) bson.D {
		over := now.Add(-time.Duration(days) * 24 * time.Hour)
		return bson.D{{Key: "page", Value: page}, {Key: "title", Value: "Old"}, {Key: "kind", Value: "incident"}, {Key: "components", Value: bson.A{"api"}},
			{Key: "created_at", Value: over}, {Key: "resolved_at", Value: over}}
	}
	put := func(collection string, docs ...any) {
		t.Helper()
		if _, err := db.Collection(collection).InsertMany(ctx, docs); err != nil {
			t.Fatal(err)
		}
	}
	put(schema.Components, component("api", 2), component("web", 2))
	put(schema.Issues, incident("acme", 40), incident("small", 50),
		bson.D{{Key: "page", Value: "acme"}, {Key: "title", Value: "Now"}, {Key: "created_at", Value: now}})
	w.take()
	before, _ := readAll(t, s, pages...)
	queries, returned := w.take()

	var old []any
	for i := range 3000 {
		old = append(old, incident("acme", 41+i%300))
	}
	put(schema.Issues, old...)
	if _, err := db.Collection(schema.Components).ReplaceOne(ctx, bson.D{{Key: "_id", Value: "web"}}, component("web", 20_000)); err != nil {
		t.Fatal(err)
	}
	after, past := readAll(t, s, pages...)
	moreQueries, moreReturned := w.take()

	if len(before.Issues) != 1 || len(after.Issues) != 1 || len(after.Components) != 2 {
		t.Errorf("the page has become %+v", after)
	}
	for _, c := range after.Components {
		if len(c.History) > schema.MaxHistory {
			t.Errorf("%d entries of history are decoded", len(c.History))
		}
	}
	for slug, want := range map[string]time.Duration{"acme": 40, "small": 50} {
		if got := past[slug][""]; !got.Equal(now.Add(-want * 24 * time.Hour)) {
			t.Errorf("the last incident of %s ended at %v", slug, got)
		}
	}
	if got := past["acme"]["api"]; !got.Equal(past["acme"][""]) {
		t.Errorf("the last incident of api ended at %v", got)
	}
	// Of several asked for together, one may have many of the newest, and the
	// others are asked for again: a few documents for each.
	t.Logf("%d documents in %d queries, and with the history %d in %d", returned, len(queries), moreReturned, len(moreQueries))
	if bound := returned + 4*(len(pages)+len(after.Components)); moreReturned > bound {
		t.Errorf("%d documents are returned with 3,000 old incidents, and %d without: want at most %d", moreReturned, returned, bound)
	}

	// Of one page there is one.
	if _, err := s.PastIncidents(ctx, map[string][]string{"acme": {""}}, 0); err != nil {
		t.Fatal(err)
	}
	if _, alone := w.take(); alone != 1 {
		t.Errorf("%d documents say when the last incident of one page ended", alone)
	}
}

// Every query that is made again and again has an index, where a real server
// can say so.
func TestQueriesUseIndexes(t *testing.T) {
	uri := os.Getenv("STATUSTAIL_TEST_MONGODB_URI")
	if uri == "" {
		t.Skip("STATUSTAIL_TEST_MONGODB_URI names no server; the embedded database has no indexes to speak of")
	}
	s, db, w := watched(t, uri, "statustail_test_"+bson.NewObjectID().Hex())
	ctx, now := t.Context(), time.Now()
	t.Cleanup(func() { _ = db.Drop(context.Background()) })
	if _, err := s.Init(ctx, store.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	var slugs, hosts []string
	for p := range 20 {
		slug := fmt.Sprint("p-", p)
		slugs, hosts = append(slugs, slug), append(hosts, slug+".example")
		var docs []any
		for i := range 200 {
			docs = append(docs, bson.D{{Key: "page", Value: slug}, {Key: "title", Value: "Old"}, {Key: "kind", Value: "incident"}, {Key: "components", Value: bson.A{slug + "-api"}},
				{Key: "created_at", Value: now}, {Key: "resolved_at", Value: now.AddDate(0, 0, -31-i)}})
		}
		if _, err := db.Collection(schema.Issues).InsertMany(ctx, docs); err != nil {
			t.Fatal(err)
		}
		if _, err := s.PutPage(ctx, store.PageInput{ID: slug, Name: slug, Hosts: hosts[p:]}); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Collection(schema.Components).InsertOne(ctx, bson.D{{Key: "_id", Value: slug + "-api"}, {Key: "page", Value: slug}, {Key: "name", Value: "API"}}); err != nil {
			t.Fatal(err)
		}
	}
	w.take()
	readAll(t, s, slugs...)
	readAll(t, s, slugs[0])
	if _, err := s.Hosts(ctx, hosts, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Issues(ctx, []store.IssueRef{{Page: "p-0", ID: "7"}, {Page: "p-0", ID: bson.NewObjectID().Hex()}}, 0); err != nil {
		t.Fatal(err)
	}
	queries, _ := w.take()
	for _, q := range queries {
		var command bson.D
		elements, _ := q.Elements()
		for _, e := range elements {
			switch e.Key() {
			case "find", "filter", "sort", "limit", "projection":
				command = append(command, bson.E{Key: e.Key(), Value: e.Value()})
			}
		}
		plan, err := db.RunCommand(ctx, bson.D{{Key: "explain", Value: command}, {Key: "verbosity", Value: "queryPlanner"}}).Raw()
		if err != nil {
			t.Fatalf("explain %s: %v", q, err)
		}
		winning := plan.Lookup("queryPlanner", "winningPlan").String()
		if strings.Contains(winning, "COLLSCAN") || strings.Contains(winning, `"SORT"`) {
			t.Errorf("no index for %s\n%s", q, winning)
		}
	}
}
