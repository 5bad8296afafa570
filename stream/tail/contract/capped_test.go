//go:build !noembed

package contract

import (
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"statustail/internal/mongotest"
	"statustail/stream/schema"
	"statustail/stream/tail"
)

// A mongod that is no member of a replica set.
func cappedCase(t testing.TB) (Case, *mongotest.Server) {
	server := mongotest.StartWith(t, mongotest.Config{Standalone: true})
	c := Case{Client: dial(t, server.URI()), Database: "statustail_test", New: tail.NewCapped, Notified: true, Writes: 120}
	if slow {
		c.Writes = 64
	}
	c.createCapped(t)
	return c, server
}

func TestCapped(t *testing.T) {
	c, _ := cappedCase(t)
	Run(t, c)
}

func (c Case) tick(t *testing.T, id string) {
	t.Helper()
	doc := append(bson.D{{Key: "_id", Value: id}}, event("acme", "tick", id)...)
	_, err := c.db().Collection(schema.Events).InsertOne(t.Context(), doc)
	if mongo.IsNetworkError(err) { // a standalone has no retryable writes
		_, err = c.db().Collection(schema.Events).InsertOne(t.Context(), doc)
	}
	if err != nil && !mongo.IsDuplicateKeyError(err) {
		t.Fatal(err)
	}
}

// A cursor that dies while its last document is still there loses nothing.
func TestCappedCursorKilled(t *testing.T) {
	c, server := cappedCase(t)
	r, _ := c.follow(t)
	c.tick(t, "a")
	r.Wait("a", func(r *Recorder) bool { return len(r.Messages) == 1 })
	server.KillCursors()
	c.tick(t, "b")
	server.Cut()
	c.tick(t, "c")
	r.Wait("b and c", func(r *Recorder) bool { return len(r.Messages) == 3 })
	if err := server.RollOver(c.Database, schema.Events, 1); err != nil {
		t.Fatal(err)
	}
	server.KillCursors()
	c.tick(t, "d")
	r.Wait("d", func(r *Recorder) bool { return len(r.Messages) == 4 })
	r.Look(func(r *Recorder) {
		if len(r.Opens) != 1 || r.Messages[3].ID != "d" {
			t.Errorf("%d opens, messages %+v", len(r.Opens), r.Messages)
		}
	})
}

// When the last document seen has rolled off, everything may have changed, and
// what is there is new.
func TestCappedRolledOver(t *testing.T) {
	c, server := cappedCase(t)
	r, _ := c.follow(t)
	c.tick(t, "a")
	r.Wait("a", func(r *Recorder) bool { return len(r.Messages) == 1 })
	// While the follower is cut off, b comes and goes.
	server.Down()
	for _, id := range []string{"b", "c"} {
		doc := append(bson.D{{Key: "_id", Value: id}}, event("acme", "tick", id)...)
		must(server.Run(t.Context(), c.Database, bson.D{{Key: "insert", Value: schema.Events}, {Key: "documents", Value: bson.A{doc}}}))(t)
	}
	if err := server.RollOver(c.Database, schema.Events, 1); err != nil {
		t.Fatal(err)
	}
	if err := server.Up(); err != nil {
		t.Fatal(err)
	}
	r.Wait("c", func(r *Recorder) bool { return r.Messages[len(r.Messages)-1].ID == "c" })
	r.Look(func(r *Recorder) {
		if len(r.Opens) != 2 || len(r.Messages) != 2 {
			t.Fatalf("%d opens, messages %+v", len(r.Opens), r.Messages)
		}
		if o := r.Opens[1]; r.Messages[0].At >= o.From || r.Messages[1].At < o.From {
			t.Errorf("opened %+v between %+v", o, r.Messages)
		}
	})
}

func TestCappedDroppedAndMadeAgain(t *testing.T) {
	c, _ := cappedCase(t)
	droppedAndMadeAgain(t, c)
}

func TestCappedIsNotThere(t *testing.T) {
	server := mongotest.StartWith(t, mongotest.Config{Standalone: true})
	c := Case{Client: dial(t, server.URI()), Database: "statustail_test", New: tail.NewCapped}
	must(c.db().Collection(schema.Events).InsertOne(t.Context(), bson.D{}))(t)
	r, _ := Follow(t, c.New(c.config()))
	r.Wait("the refusal", func(r *Recorder) bool { return len(r.Losses) > 0 })
	r.Look(func(r *Recorder) {
		if err := r.Losses[0].Error(); !strings.Contains(err, "is not capped") || !strings.Contains(err, "statustail init --capped") {
			t.Errorf("it says %q", err)
		}
	})
	if err := c.db().Collection(schema.Events).Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.createCapped(t)
	r.WaitReady()
}

func TestDetect(t *testing.T) {
	client := openEmbedded(t)
	for _, test := range []struct {
		uri  string
		want tail.Source
	}{
		{mongotest.Start(t).URI(), tail.ChangeStream},
		{mongotest.StartWith(t, mongotest.Config{Standalone: true}).URI(), tail.Capped},
	} {
		got, err := tail.Detect(t.Context(), dial(t, test.uri))
		if err != nil || got != test.want {
			t.Errorf("got %s, %v, want %s", got, err, test.want)
		}
	}
	if got, err := tail.Detect(t.Context(), client); err != nil || got != tail.ChangeStream {
		t.Errorf("got %s, %v, want %s", got, err, tail.ChangeStream)
	}
	if _, _, err := tail.New(t.Context(), "nonsense", tail.Config{Client: client}); err == nil {
		t.Error("a source that does not exist is accepted")
	}
}
