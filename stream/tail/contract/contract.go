package contract

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/change"
	"statustail/stream/schema"
	"statustail/stream/tail"
)

// A Case is one kind of follower on one kind of database.
type Case struct {
	Client   *mongo.Client
	Database string
	// New makes a follower.
	New func(tail.Config) tail.Follower
	// Notified is set where only documents named $changed are hints.
	Notified bool
	// Writes is how many messages the concurrent writers write; 5000 if 0.
	Writes int
}

func (c Case) db() *mongo.Database { return c.Client.Database(c.Database) }

func (c Case) config() tail.Config {
	return tail.Config{
		Client: c.Client, Database: c.Database, Logger: slog.New(slog.DiscardHandler),
	}
}

func (c Case) follow(t *testing.T) (*Recorder, func()) {
	t.Helper()
	r, stop := Follow(t, c.New(c.config()))
	r.WaitReady()
	return r, stop
}

func event(page, name string, data any) bson.D {
	return bson.D{{Key: "page", Value: page}, {Key: "name", Value: name}, {Key: "data", Value: data}}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Run runs all of it. The database should be empty and is not cleaned up.
func Run(t *testing.T, c Case) {
	t.Run("messages", func(t *testing.T) { messages(t, c) })
	t.Run("concurrent writers", func(t *testing.T) { concurrent(t, c) })
	t.Run("history", func(t *testing.T) { history(t, c) })
	if c.Notified {
		t.Run("notifications", func(t *testing.T) { notifications(t, c) })
		return
	}
	t.Run("hints", func(t *testing.T) { hints(t, c) })
	t.Run("drop and rename", func(t *testing.T) { drops(t, c) })
}

func hints(t *testing.T, c Case) {
	r, _ := c.follow(t)
	ctx := t.Context()
	issues := c.db().Collection(schema.Issues)
	oid := bson.NewObjectID()
	page := func(p string) bson.D { return bson.D{{Key: "$set", Value: bson.D{{Key: "page", Value: p}}}} }

	next := func(what string, write func() error, want ...change.Hint) {
		t.Helper()
		_, n, _ := r.Count()
		if err := write(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for _, h := range want {
			r.WaitHint(n, h.Collection, h.Page, h.ID)
		}
	}
	next("insert with an ObjectID", func() error {
		_, err := issues.InsertOne(ctx, bson.D{{Key: "_id", Value: oid}, {Key: "page", Value: "acme"}})
		return err
	}, change.Hint{Collection: schema.Issues, Page: "acme", ID: oid.Hex()})
	next("move to another page", func() error {
		_, err := issues.UpdateByID(ctx, oid, page("other"))
		return err
	}, change.Hint{Collection: schema.Issues, Page: "other", ID: oid.Hex()})
	next("replace", func() error {
		_, err := issues.ReplaceOne(ctx, bson.D{{Key: "_id", Value: oid}}, bson.D{{Key: "page", Value: "third"}})
		return err
	}, change.Hint{Collection: schema.Issues, Page: "third", ID: oid.Hex()})
	next("find and modify", func() error {
		return issues.FindOneAndUpdate(ctx, bson.D{{Key: "_id", Value: oid}}, page("fourth")).Err()
	}, change.Hint{Collection: schema.Issues, Page: "fourth", ID: oid.Hex()})
	next("delete", func() error {
		_, err := issues.DeleteOne(ctx, bson.D{{Key: "_id", Value: oid}})
		return err
	}, change.Hint{Collection: schema.Issues, ID: oid.Hex()})
	next("insert many, ids of all kinds", func() error {
		_, err := c.db().Collection(schema.Components).InsertMany(ctx, []any{
			bson.D{{Key: "_id", Value: "api"}, {Key: "page", Value: "acme"}},
			bson.D{{Key: "_id", Value: int32(7)}, {Key: "page", Value: "acme"}},
			bson.D{{Key: "_id", Value: int64(1) << 40}, {Key: "page", Value: 12}},
			bson.D{{Key: "_id", Value: true}},
		})
		return err
	},
		change.Hint{Collection: schema.Components, Page: "acme", ID: "api"},
		change.Hint{Collection: schema.Components, Page: "acme", ID: "7"},
		change.Hint{Collection: schema.Components, ID: "1099511627776"},
		change.Hint{Collection: schema.Components, ID: "true"})
	next("update many", func() error {
		_, err := c.db().Collection(schema.Components).UpdateMany(ctx, bson.D{}, bson.D{{Key: "$set", Value: bson.D{{Key: "state", Value: "outage"}}}})
		return err
	},
		change.Hint{Collection: schema.Components, Page: "acme", ID: "api"},
		change.Hint{Collection: schema.Components, Page: "acme", ID: "7"})
	next("upsert a page", func() error {
		return c.db().Collection(schema.Pages).FindOneAndUpdate(ctx, bson.D{{Key: "_id", Value: "acme"}},
			bson.D{{Key: "$set", Value: bson.D{{Key: "name", Value: "Acme"}}}}, upsert()).Err()
	}, change.Hint{Collection: schema.Pages, Page: "acme", ID: "acme"})
	next("delete many", func() error {
		_, err := c.db().Collection(schema.Components).DeleteMany(ctx, bson.D{})
		return err
	},
		change.Hint{Collection: schema.Components, ID: "api"},
		change.Hint{Collection: schema.Components, ID: "7"})
	r.Look(func(r *Recorder) {
		if len(r.Losses) > 0 {
			t.Errorf("outages: %v", r.Losses)
		}
	})
}

func messages(t *testing.T, c Case) {
	r, _ := c.follow(t)
	_, _, before := r.Count()
	events := c.db().Collection(schema.Events)
	long := make([]byte, schema.MaxData+1)
	docs := []any{
		event("acme", "deploy", bson.D{{Key: "version", Value: "1.2"}}),
		event("Not A Slug", "deploy", nil),
		event("acme", "Bad Name", nil),
		event("acme", "init_event", nil),
		event("acme", "too.big", string(long)),
		event("acme", "nested", bson.A{int64(1), bson.D{{Key: "b", Value: nil}, {Key: "a", Value: true}}}),
		bson.D{{Key: "_id", Value: "last"}, {Key: "page", Value: "other"}, {Key: "name", Value: "count"}, {Key: "data", Value: 3}, {Key: "key", Value: "k"}},
	}
	for _, doc := range docs {
		must(events.InsertOne(t.Context(), doc))(t)
	}
	r.Wait("the last message", func(r *Recorder) bool {
		return len(r.Messages) > before && r.Messages[len(r.Messages)-1].ID == "last"
	})
	r.Look(func(r *Recorder) {
		got := r.Messages[before:]
		want := []string{`acme deploy  {"version":"1.2"}`, `acme nested  [1,{"b":null,"a":true}]`, `other count k 3`}
		if len(got) != len(want) {
			t.Fatalf("got %d messages, want %d: %+v", len(got), len(want), got)
		}
		for i, m := range got {
			if s := fmt.Sprintf("%s %s %s %s", m.Page, m.Name, m.Key, m.Data); s != want[i] {
				t.Errorf("message %d is %q, want %q", i, s, want[i])
			}
			if m.ID == "" || m.CreatedAt.IsZero() || m.At <= r.Opens[0].Now { // history is at or before now
				t.Errorf("message %d lacks something: %+v", i, m)
			}
		}
	})
}

// concurrent has 8 writers write messages, and issues between them, one and
// many at a time.
func concurrent(t *testing.T, c Case) {
	r, _ := c.follow(t)
	_, hintsBefore, before := r.Count()
	total := c.Writes
	if total == 0 {
		total = 5000
	}
	const writers = 8
	var wg sync.WaitGroup
	wanted := make([]map[string]bool, writers)
	wantedIssues := make([]int, writers)
	for w := range writers {
		wanted[w] = make(map[string]bool)
		wg.Go(func() {
			ctx := context.Background()
			for i := 0; i < total/writers; {
				n := 1
				if i%50 == 49 {
					n = min(40, total/writers-i)
				}
				var docs []any
				for range n {
					id := fmt.Sprintf("c-%d-%d", w, i)
					docs = append(docs, append(bson.D{{Key: "_id", Value: id}}, event(fmt.Sprintf("page-%d", w), "tick", i)...))
					wanted[w][id] = true
					i++
				}
				if _, err := c.db().Collection(schema.Events).InsertMany(ctx, docs); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				if i%25 == 0 && !c.Notified {
					id := fmt.Sprintf("i-%d-%d", w, i)
					if _, err := c.db().Collection(schema.Issues).InsertOne(ctx, bson.D{{Key: "_id", Value: id}, {Key: "page", Value: "acme"}}); err != nil {
						t.Errorf("writer %d: %v", w, err)
						return
					}
					wantedIssues[w]++
				}
			}
		})
	}
	wg.Wait()
	all, issues := 0, 0
	for w := range writers {
		all += len(wanted[w])
		issues += wantedIssues[w]
	}
	r.Wait(fmt.Sprintf("%d messages and %d hints", all, issues), func(r *Recorder) bool {
		return len(r.Messages) >= before+all && len(r.Hints) >= hintsBefore+issues
	})
	r.Look(func(r *Recorder) {
		times := make(map[string]int)
		newest := make(map[string]int)
		for _, m := range r.Messages[before:] {
			times[m.ID]++
			var w, i int
			fmt.Sscanf(m.ID, "c-%d-%d", &w, &i)
			if last, ok := newest[m.Page]; ok && i < last && len(r.Losses) == 0 {
				t.Errorf("page %s: message %d after %d", m.Page, i, last)
			}
			newest[m.Page] = i
		}
		for w := range writers {
			for id := range wanted[w] {
				if times[id] != 1 {
					t.Errorf("message %s was delivered %d times", id, times[id])
				}
			}
		}
		if len(times) != all {
			t.Errorf("%d different messages, want %d", len(times), all)
		}
	})
}

// history stops a follower, writes, and starts another.
func history(t *testing.T, c Case) {
	first, stop := c.follow(t)
	events := c.db().Collection(schema.Events)
	must(events.InsertOne(t.Context(), append(bson.D{{Key: "_id", Value: "h1"}}, event("acme", "tick", 1)...)))(t)
	first.Wait("h1", func(r *Recorder) bool { return len(r.Messages) > 0 && r.Messages[len(r.Messages)-1].ID == "h1" })
	stop()
	var resume change.Position
	first.Look(func(r *Recorder) { resume = r.Reach })
	must(events.InsertOne(t.Context(), append(bson.D{{Key: "_id", Value: "h2"}}, event("acme", "tick", 2)...)))(t)

	second, _ := c.follow(t)
	must(events.InsertOne(t.Context(), append(bson.D{{Key: "_id", Value: "h3"}}, event("acme", "tick", 3)...)))(t)
	second.Wait("h3", func(r *Recorder) bool { return len(r.Messages) > 0 && r.Messages[len(r.Messages)-1].ID == "h3" })
	second.Look(func(r *Recorder) {
		at := make(map[string]change.Position)
		for _, m := range r.Messages {
			at[m.ID] = m.At
		}
		if at["h2"] == 0 || at["h2"] < resume {
			t.Errorf("h2 is at %v: who resumes from %v does not get it", at["h2"], resume)
		}
		if now := r.Opens[0].Now; at["h2"] > now || at["h3"] <= at["h2"] {
			t.Errorf("h2 is at %v and h3 at %v, now was %v", at["h2"], at["h3"], now)
		}
	})
}

func drops(t *testing.T, c Case) {
	r, _ := c.follow(t)
	ctx := t.Context()
	write := func(id string) {
		t.Helper()
		_, n, _ := r.Count()
		must(c.db().Collection(schema.Issues).InsertOne(ctx, bson.D{{Key: "_id", Value: id}, {Key: "page", Value: "acme"}}))(t)
		r.WaitHint(n, schema.Issues, "acme", id)
	}
	again := func(what string, f func() error) {
		t.Helper()
		n, _, _ := r.Count()
		if err := f(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		r.Wait("Opened after "+what, func(r *Recorder) bool { return len(r.Opens) > n })
	}
	write("d1")
	again("dropping a collection", func() error { return c.db().Collection(schema.Issues).Drop(ctx) })
	write("d2")
	again("renaming a collection", func() error {
		return c.Client.Database("admin").RunCommand(ctx, bson.D{
			{Key: "renameCollection", Value: c.Database + ".issues"}, {Key: "to", Value: c.Database + ".elsewhere"},
		}).Err()
	})
	again("renaming it back", func() error {
		return c.Client.Database("admin").RunCommand(ctx, bson.D{
			{Key: "renameCollection", Value: c.Database + ".elsewhere"}, {Key: "to", Value: c.Database + ".issues"},
		}).Err()
	})
	write("d3")
	again("dropping the database", func() error { return c.db().Drop(ctx) })
	write("d4")
}

// notifications are the hints of a capped collection of events.
func notifications(t *testing.T, c Case) {
	r, _ := c.follow(t)
	events := c.db().Collection(schema.Events)
	_, n, before := r.Count()
	must(events.InsertOne(t.Context(), bson.D{{Key: "name", Value: schema.Changed}, {Key: "page", Value: "acme"}}))(t)
	r.WaitHint(n, schema.Pages, "acme", "acme")
	must(events.InsertOne(t.Context(), bson.D{
		{Key: "name", Value: schema.Changed}, {Key: "collection", Value: "issues"}, {Key: "id", Value: 12},
	}))(t)
	r.WaitHint(n, schema.Issues, "", "12")
	if _, _, after := r.Count(); after != before {
		t.Error("a notification was passed on as a message")
	}
}

func upsert() *options.FindOneAndUpdateOptionsBuilder {
	return options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)
}
