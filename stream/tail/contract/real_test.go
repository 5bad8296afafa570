package contract

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/schema"
	"statustail/stream/tail"
)

// realDatabase is a database of its own on the deployment that
// STATUSTAIL_TEST_MONGODB_URI names, dropped afterwards.
func realDatabase(t *testing.T) (*mongo.Client, string) {
	uri := os.Getenv("STATUSTAIL_TEST_MONGODB_URI")
	if uri == "" {
		t.Skip("STATUSTAIL_TEST_MONGODB_URI names no MongoDB deployment")
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetServerSelectionTimeout(5 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("statustail_test_%d_%s", os.Getpid(), bson.NewObjectID().Hex()[18:])
	t.Cleanup(func() {
		if err := client.Database(name).Drop(context.Background()); err != nil {
			t.Error(err)
		}
		client.Disconnect(context.Background())
	})
	return client, name
}

func TestRealChangeStream(t *testing.T) {
	client, name := realDatabase(t)
	if source, err := tail.Detect(t.Context(), client); err != nil || source != tail.ChangeStream {
		t.Skipf("the deployment is %s, %v", source, err)
	}
	Run(t, Case{Client: client, Database: name, New: tail.NewChangeStream})
}

func TestRealCapped(t *testing.T) {
	client, name := realDatabase(t)
	if source, err := tail.Detect(t.Context(), client); err != nil {
		t.Skipf("the deployment is %s, %v", source, err)
	}
	c := Case{Client: client, Database: name, New: tail.NewCapped, Notified: true, Writes: 800}
	c.createCapped(t)
	Run(t, c)
	t.Run("dropped and made again", func(t *testing.T) { droppedAndMadeAgain(t, c) })
}

func (c Case) createCapped(t testing.TB) {
	t.Helper()
	if err := c.db().CreateCollection(context.Background(), schema.Events, options.CreateCollection().SetCapped(true).SetSizeInBytes(1<<20)); err != nil {
		t.Fatal(err)
	}
}

func droppedAndMadeAgain(t *testing.T, c Case) {
	r, _ := c.follow(t)
	events := c.db().Collection(schema.Events)
	must(events.InsertOne(t.Context(), append(bson.D{{Key: "_id", Value: "a"}}, event("acme", "tick", 1)...)))(t)
	r.Wait("a", func(r *Recorder) bool { return len(r.Messages) > 0 && r.Messages[len(r.Messages)-1].ID == "a" })
	opens, _, _ := r.Count()
	if err := events.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.createCapped(t)
	must(events.InsertOne(t.Context(), append(bson.D{{Key: "_id", Value: "b"}}, event("acme", "tick", 2)...)))(t)
	r.Wait("b after Opened", func(r *Recorder) bool { return len(r.Opens) > opens && r.Messages[len(r.Messages)-1].ID == "b" })
	r.Look(func(r *Recorder) {
		if m := r.Messages[len(r.Messages)-1]; m.ID != "b" || m.At < r.Opens[len(r.Opens)-1].From {
			t.Errorf("got %+v", m)
		}
	})
}
