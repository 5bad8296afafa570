//go:build !noembed

package contract

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/internal/mongotest"
	"statustail/stream/change"
	"statustail/stream/schema"
	"statustail/stream/tail"
)

func dial(t testing.TB, uri string) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetServerSelectionTimeout(2 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	return client
}

func changeStreamCase(t testing.TB) (Case, *mongotest.Server) {
	server := mongotest.Start(t)
	c := Case{Client: dial(t, server.URI()), Database: "statustail_test", New: tail.NewChangeStream, Writes: 800}
	if slow {
		c.Writes = 120
	}
	return c, server
}

func TestChangeStream(t *testing.T) {
	c, _ := changeStreamCase(t)
	Run(t, c)
}

func (c Case) issue(t *testing.T, r *Recorder, id string) {
	t.Helper()
	_, n, _ := r.Count()
	must(c.db().Collection(schema.Issues).InsertOne(t.Context(), bson.D{{Key: "_id", Value: id}, {Key: "page", Value: "acme"}}))(t)
	r.WaitHint(n, schema.Issues, "acme", id)
}

// What can be resumed is resumed: every message arrives once, and nobody is
// told to reload everything.
func TestChangeStreamResumes(t *testing.T) {
	c, server := changeStreamCase(t)
	r, _ := c.follow(t)
	opens, _, before := r.Count()
	faults := []struct {
		name   string
		strike func()
	}{
		{"connections cut", server.Cut},
		{"cursor killed", server.KillCursors},
		{"election", func() { server.StepDown(); server.Elect() }},
		{"shutdown", func() { server.ShutDown(); server.Restart() }},
		{"reply lost", func() { server.LoseReplies(1) }},
		{"down", func() {
			n := losses(r)
			server.Down()
			r.Wait("the outage", func(r *Recorder) bool { return len(r.Losses) > n })
			if err := server.Up(); err != nil {
				t.Error(err)
			}
		}},
	}
	total := 0
	for _, fault := range faults {
		began := time.Now()
		fault.strike()
		for range 3 {
			id := fmt.Sprintf("m%d", total)
			for {
				_, err := c.db().Collection(schema.Events).InsertOne(t.Context(), append(bson.D{{Key: "_id", Value: id}}, event("acme", "tick", total)...))
				if err == nil || mongo.IsDuplicateKeyError(err) {
					break
				}
				if t.Context().Err() != nil {
					t.Fatal(err)
				}
			}
			total++
		}
		r.Wait("the messages after: "+fault.name, func(r *Recorder) bool { return len(r.Messages) >= before+total })
		t.Logf("%s: %v", fault.name, time.Since(began).Round(time.Millisecond))
	}
	r.Look(func(r *Recorder) {
		for i, m := range r.Messages[before:] {
			if want := fmt.Sprintf("m%d", i); m.ID != want {
				t.Errorf("message %d is %s, want %s", i, m.ID, want)
			}
		}
		if len(r.Opens) != opens {
			t.Errorf("Opened again %d times, though nothing was lost", len(r.Opens)-opens)
		}
	})
}

func losses(r *Recorder) (n int) {
	r.Look(func(r *Recorder) { n = len(r.Losses) })
	return n
}

// What cannot be resumed is opened anew, and then everybody is told.
func TestChangeStreamStartsOver(t *testing.T) {
	c, server := changeStreamCase(t)
	r, _ := c.follow(t)
	c.issue(t, r, "before")
	for i, strike := range []func(){server.LoseHistory, server.ForgetTokens} {
		n, _, _ := r.Count()
		strike()
		r.Wait("Opened", func(r *Recorder) bool { return len(r.Opens) > n })
		r.Look(func(r *Recorder) {
			if o := r.Opens[len(r.Opens)-1]; o.From < r.Opens[0].Now {
				t.Errorf("opened from %v, which is before the hole", o.From)
			}
		})
		c.issue(t, r, fmt.Sprint("after-", i))
	}
}

func TestChangeStreamGivesUpOnRefusedTokens(t *testing.T) {
	c, server := changeStreamCase(t)
	r, _ := c.follow(t)
	n, _, _ := r.Count()
	server.Fail("aggregate", 6, 9, "FailedToParse", "some error of a later version")
	server.KillCursors()
	r.Wait("Opened", func(r *Recorder) bool { return len(r.Opens) > n })
	c.issue(t, r, "after")
}

func TestChangeStreamHistoryIsShorterThanTheWindow(t *testing.T) {
	c, server := changeStreamCase(t)
	must(c.db().Collection(schema.Events).InsertOne(t.Context(), event("acme", "tick", 1)))(t)
	server.LoseHistory()
	r, _ := c.follow(t)
	r.Look(func(r *Recorder) {
		if o := r.Opens[0]; o.From != o.Now || len(r.Messages) != 0 {
			t.Errorf("opened %+v, %d messages", o, len(r.Messages))
		}
	})
	c.issue(t, r, "after")
}

func TestChangeStreamEqualTimesOverTwoBatches(t *testing.T) {
	c, server := changeStreamCase(t)
	r, _ := c.follow(t)
	_, _, before := r.Count()
	server.SameTime(true)
	server.Split(true)
	var docs []any
	for i := range 10 {
		docs = append(docs, append(bson.D{{Key: "_id", Value: i}}, event("acme", "tick", i)...))
	}
	must(c.db().Collection(schema.Events).InsertMany(t.Context(), docs))(t)
	r.Wait("some messages", func(r *Recorder) bool { return len(r.Messages) > before })
	server.KillCursors()
	r.Wait("all messages", func(r *Recorder) bool { return len(r.Messages) >= before+len(docs) })
	r.Look(func(r *Recorder) {
		for i, m := range r.Messages[before:] {
			if m.ID != fmt.Sprint(i) {
				t.Errorf("message %d is %s", i, m.ID)
			}
			if m.At != r.Messages[before].At {
				t.Errorf("message %d is at %v, the first at %v", i, m.At, r.Messages[before].At)
			}
		}
	})
}

func TestChangeStreamUnauthorized(t *testing.T) {
	c, server := changeStreamCase(t)
	server.Deny("changeStream")
	r, _ := Follow(t, c.New(c.config()))
	r.Wait("the refusal", func(r *Recorder) bool { return len(r.Losses) > 0 })
	r.Look(func(r *Recorder) {
		if err := r.Losses[0].Error(); !strings.Contains(err, `"changeStream" and "find"`) || !strings.Contains(err, "statustail_test") {
			t.Errorf("it says %q", err)
		}
	})
	server.Deny("")
	r.WaitReady()
	c.issue(t, r, "after")
	if n := losses(r); n != 1 {
		t.Errorf("told %d times of one outage", n)
	}
}

func TestChangeStreamOnAStandalone(t *testing.T) {
	server := mongotest.StartWith(t, mongotest.Config{Standalone: true})
	client := dial(t, server.URI())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := tail.NewChangeStream(tail.Config{Client: client, Database: "statustail_test"}).Follow(ctx, NewRecorder(t))
	if err == nil || !strings.Contains(err.Error(), "--source capped") {
		t.Errorf("got %v", err)
	}
}

// A quiet stream still moves, costs a handful of commands a minute, and reads
// are the primary's of the majority.
func TestChangeStreamOnAQuietDatabase(t *testing.T) {
	c, server := changeStreamCase(t)
	r, _ := c.follow(t)
	c.issue(t, r, "x")
	server.Forget() // how it began is another matter
	server.Noop()
	now := server.ClusterTime()
	must(c.Client.Database("elsewhere").Collection("things").InsertOne(t.Context(), bson.D{}))(t)
	server.KillCursors() // ends the wait
	r.Wait("the position to move", func(r *Recorder) bool { return r.Reach >= change.NewPosition(now.T, now.I) })
	streams := 0
	for _, cmd := range server.Commands() {
		if cmd.Name == "aggregate" {
			streams++
			if level, _ := cmd.Body.Lookup("readConcern", "level").StringValueOK(); level != "majority" {
				t.Errorf("a stream was opened with read concern %q", level)
			}
			first, _ := cmd.Body.Lookup("pipeline", "1").DocumentOK()
			if first.Lookup("$match").Type == 0 {
				t.Error("a stream was opened without a filter")
			}
		}
		if cmd.Name == "getMore" {
			if ms := cmd.Body.Lookup("maxTimeMS").AsInt64(); ms < 100 {
				t.Errorf("waits only %d ms", ms)
			}
		}
	}
	if streams == 0 || streams > 4 {
		t.Errorf("%d streams were opened", streams)
	}
}

// Under faults of every kind at random every message arrives at least once,
// first occurrences in order, or the sink was told of a hole.
func TestChangeStreamConverges(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("STATUSTAIL_TEST_SEED"); given != "" {
		seed = must(strconv.ParseUint(given, 10, 64))(t)
	}
	t.Logf("STATUSTAIL_TEST_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	c, server := changeStreamCase(t)
	r, _ := c.follow(t)
	_, _, before := r.Count()

	strikes := 12
	if slow {
		strikes = 6
	}
	struck := make(chan struct{})
	go func() {
		defer close(struck)
		for range strikes {
			t.Log(server.Strike(random))
			// The driver looks for a lost server every 500 ms at most; struck
			// without a rest it would never be found.
			time.Sleep(time.Duration(random.IntN(700)) * time.Millisecond)
		}
	}()
	total := 0
	for done := false; !done; total++ {
		select {
		case <-struck:
			done = true
		default:
		}
		doc := append(bson.D{{Key: "_id", Value: total}}, event("acme", "tick", total)...)
		for {
			_, err := c.db().Collection(schema.Events).InsertOne(t.Context(), doc)
			if err == nil || mongo.IsDuplicateKeyError(err) {
				break
			}
			if t.Context().Err() != nil {
				t.Fatal(err)
			}
		}
	}
	must(c.db().Collection(schema.Events).InsertOne(t.Context(), append(bson.D{{Key: "_id", Value: "end"}}, event("acme", "tick", total)...)))(t)
	r.Wait("the last message", func(r *Recorder) bool { return len(r.Messages) > 0 && r.Messages[len(r.Messages)-1].ID == "end" })
	r.Look(func(r *Recorder) {
		holes := r.Opens[1:]
		last, got := -1, 0
		var lastAt change.Position
		for _, m := range r.Messages[before:] {
			i := total
			if m.ID != "end" {
				i = must(strconv.Atoi(m.ID))(t)
			}
			if i <= last {
				continue
			}
			told := slices.ContainsFunc(holes, func(o Open) bool { return lastAt <= o.From && o.From <= m.At })
			if i != last+1 && !told {
				t.Errorf("message %d at %v after %d at %v, and no hole between: %v", i, m.At, last, lastAt, holes)
			}
			last, lastAt = i, m.At
			got++
		}
		t.Logf("%d of %d messages, %d holes, %d outages", got, total+1, len(holes), len(r.Losses))
	})
}
