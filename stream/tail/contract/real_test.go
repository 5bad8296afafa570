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

	"statustail/stream/change"
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
	if source, err := tail.Detect(t.Context(), client); err != nil || source == tail.Embedded {
		t.Skipf("the deployment is %s, %v", source, err)
	}
	c := Case{Client: client, Database: name, New: tail.NewCapped, Notified: true, Writes: 800}
	create := func(t *testing.T) {
		err := c.db().CreateCollection(t.Context(), change.Events, options.CreateCollection().SetCapped(true).SetSizeInBytes(1<<20))
		if err != nil {
			t.Fatal(err)
		}
	}
	create(t)
	Run(t, c)
	t.Run("rolled over", func(t *testing.T) {
		r, stop := c.follow(t)
		opens, _, _ := r.Count()
		stop()
		if opens != 1 {
			t.Errorf("opened %d times", opens)
		}
	})
}
