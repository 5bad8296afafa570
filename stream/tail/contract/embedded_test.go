//go:build !noembed

package contract

import (
	"context"
	"log/slog"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/change"
	"statustail/stream/embedded"
	"statustail/stream/tail"
)

func openEmbedded(t testing.TB) (*embedded.DB, *mongo.Client) {
	t.Helper()
	db, err := embedded.Open(context.Background(), embedded.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	client, err := mongo.Connect(options.Client().ApplyURI(db.URI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	return db, client
}

func embeddedCase(t testing.TB) Case {
	db, client := openEmbedded(t)
	c := Case{Client: client, Database: "statustail_test",
		New: func(cfg tail.Config) tail.Follower { return tail.NewEmbedded(cfg, db) }}
	if slow {
		c.Writes = 240
	}
	return c
}

func TestEmbedded(t *testing.T) { Run(t, embeddedCase(t)) }

func logLength(t testing.TB, client *mongo.Client) int {
	t.Helper()
	n := must(client.Database("local").Collection("oplog.rs").CountDocuments(context.Background(), bson.D{}))(t)
	return int(n)
}

func TestEmbeddedLogIsDropped(t *testing.T) {
	c := embeddedCase(t)
	r, _ := c.follow(t)
	opens, _, _ := r.Count()
	if err := c.Client.Database("local").Collection("oplog.rs").Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Wait("Opened after the log was dropped", func(r *Recorder) bool { return len(r.Opens) > opens })
	must(c.db().Collection(change.Issues).InsertOne(t.Context(), bson.D{{Key: "_id", Value: "x"}, {Key: "page", Value: "acme"}}))(t)
	r.WaitHint(0, change.Issues, "acme", "x")
}

// Inserts of many documents are committed long after their timestamps were
// given out, which is when trimming by number would lose them.
func TestEmbeddedLargeInsertsWhileTrimming(t *testing.T) {
	c := embeddedCase(t)
	r, _ := c.follow(t)
	rounds, size := 4, 1000
	if slow {
		rounds = 1
	}
	for round := range rounds {
		var docs []any
		for i := range size {
			docs = append(docs, event("acme", "tick", round*size+i))
		}
		must(c.db().Collection(change.Events).InsertMany(t.Context(), docs))(t)
	}
	r.Wait("all messages", func(r *Recorder) bool { return len(r.Messages) >= rounds*size })
	r.Look(func(r *Recorder) {
		ids := make(map[string]bool)
		for _, m := range r.Messages {
			ids[m.ID] = true
		}
		if len(ids) != rounds*size || len(r.Messages) != rounds*size {
			t.Errorf("%d messages, %d different, want %d", len(r.Messages), len(ids), rounds*size)
		}
	})
	must(c.db().Collection(change.Issues).InsertOne(t.Context(), bson.D{{Key: "_id", Value: "x"}, {Key: "page", Value: "acme"}}))(t)
	r.WaitHint(0, change.Issues, "acme", "x")
	if n := logLength(t, c.Client); n > 400 {
		t.Errorf("the log has %d entries", n)
	}
}
