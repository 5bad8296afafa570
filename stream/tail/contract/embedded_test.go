//go:build !noembed

package contract

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/embedded"
	"statustail/stream/schema"
	"statustail/stream/tail"
)

func openEmbedded(t testing.TB) *mongo.Client {
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
	return client
}

func embeddedCase(t testing.TB) Case {
	client := openEmbedded(t)
	c := Case{Client: client, Database: "statustail_test",
		New: tail.NewChangeStream}
	if slow {
		c.Writes = 240
	}
	return c
}

func TestEmbedded(t *testing.T) { Run(t, embeddedCase(t)) }

// An insert of many documents arrives whole and in order.
func TestEmbeddedLargeInserts(t *testing.T) {
	c := embeddedCase(t)
	r, _ := c.follow(t)
	rounds, size := 4, 1000
	if slow {
		rounds = 1
	}
	for round := range rounds {
		var docs []any
		for i := range size {
			docs = append(docs, append(bson.D{{Key: "_id", Value: round*size + i}}, event("acme", "tick", i)...))
		}
		must(c.db().Collection(schema.Events).InsertMany(t.Context(), docs))(t)
	}
	r.Wait("all messages", func(r *Recorder) bool { return len(r.Messages) >= rounds*size })
	r.Look(func(r *Recorder) {
		for i, m := range r.Messages {
			if m.ID != fmt.Sprint(i) {
				t.Fatalf("message %d is %s", i, m.ID)
			}
		}
	})
}
