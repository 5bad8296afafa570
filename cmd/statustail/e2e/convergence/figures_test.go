//go:build !race

package convergence

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/cmd/statustail/programtest"
	"statustail/internal/mongotest"
	"statustail/stream/hund/hundtest"
)

// figures prints measurements, which depend on the machine, and asserts none.
var (
	figures = flag.Bool("figures", false, "measure: latency from commit to socket, the load of an idle server")
	burst   = flag.Int("burst", 2000, "writes to one page in a burst")
)

// bench is one server on the test server, which records every command.
type bench struct {
	proxy  *mongotest.Server
	db     *mongo.Database
	server *programtest.Program
}

func startBench(t *testing.T) *bench {
	t.Helper()
	proxy := mongotest.Start(t)
	client, err := mongo.Connect(options.Client().ApplyURI(proxy.URI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	b := &bench{proxy: proxy, db: client.Database("statustail")}
	if _, err := b.db.Collection("pages").InsertOne(context.Background(), bson.M{"_id": "p0", "name": "P"}); err != nil {
		t.Fatal(err)
	}
	component := bson.M{"_id": "c", "page": "p0", "name": "C", "state": "operational"}
	if _, err := b.db.Collection("components").InsertOne(context.Background(), component); err != nil {
		t.Fatal(err)
	}
	b.server = programtest.Start(t, "--mongodb-uri", proxy.URI(), "--source", "changestream")
	return b
}

// commands counts the commands since the last Forget, by name.
func (b *bench) commands() map[string]int {
	counted := map[string]int{}
	for _, c := range b.proxy.Commands() {
		counted[c.Name]++
	}
	return counted
}

func TestLatency(t *testing.T) {
	if !*figures {
		t.Skip("a measurement: run it with -args -figures")
	}
	b := startBench(t)
	r := hundtest.Open(t, b.server.URL+"/p0/live/v2/status_page")
	r.Next("init_event")
	ctx := context.Background()
	measure := func(kind, event string, write func(i int) error) {
		var took []time.Duration
		for i := range 60 {
			if err := write(i); err != nil {
				t.Fatal(err)
			}
			committed := time.Now() // the reply to a majority write
			r.Next(event)
			took = append(took, time.Since(committed))
			// The next one is to find the page at rest.
			<-time.After(250 * time.Millisecond)
		}
		slices.Sort(took)
		t.Logf("%s: from commit to the subscriber's socket, median %.1f ms, 90th percentile %.1f ms", kind,
			took[30].Seconds()*1e3, took[54].Seconds()*1e3)
	}
	states := []string{"degraded", "outage"}
	measure("state", "status_created", func(i int) error {
		_, err := b.db.Collection("components").UpdateOne(ctx, bson.M{"_id": "c"}, bson.M{"$set": bson.M{"state": states[i%2]}})
		return err
	})
	measure("message", message, func(i int) error {
		_, err := b.db.Collection("events").InsertOne(ctx, bson.M{"page": "p0", "name": message, "data": i, "created_at": time.Now()})
		return err
	})
}

// A burst of writes to one page is a few dozen reloads, and no more events
// than they find differences.
func TestBurst(t *testing.T) {
	b := startBench(t)
	ctx := context.Background()
	const rounds = 10
	each := *burst / rounds
	var old []any
	long := time.Now().Add(-100 * 24 * time.Hour)
	for i := range each {
		old = append(old, bson.M{"_id": fmt.Sprintf("old%d", i), "page": "p0", "title": "Old", "kind": "informational", "created_at": long, "resolved_at": long})
	}
	if _, err := b.db.Collection("issues").InsertMany(ctx, old); err != nil {
		t.Fatal(err)
	}
	r := hundtest.Open(t, b.server.URL+"/p0/live/v2/status_page")
	r.Next("init_event")
	b.proxy.Forget()
	begun := time.Now()
	for i := range rounds {
		if _, err := b.db.Collection("issues").UpdateMany(ctx, bson.M{"page": "p0"}, bson.M{"$set": bson.M{"title": fmt.Sprint("Round ", i)}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.db.Collection("components").UpdateOne(ctx, bson.M{"_id": "c"}, bson.M{"$set": bson.M{"state": []string{"degraded", "outage"}[i%2]}}); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(begun)
	if _, err := b.db.Collection("events").InsertOne(ctx, bson.M{"page": "p0", "name": "over", "data": 1, "created_at": time.Now()}); err != nil {
		t.Fatal(err)
	}
	_, before := r.Await("the end", func(e hundtest.Event) bool { return e.Name == "over" })
	received := len(before)
	loads := 0
	for _, c := range b.proxy.Commands() {
		if c.Name == "find" && c.Body.Lookup("find").StringValue() == "pages" {
			loads++
		}
	}
	t.Logf("%d writes in %.1f s: %d reloads, %d events for each subscriber", each*rounds, took.Seconds(), loads, received)
	if limit := 10 + int(took.Seconds()*6); loads > limit {
		t.Errorf("%d reloads, want at most one each 200 ms: %d", loads, limit)
	}
	if received > 60 {
		t.Errorf("%d events for each subscriber", received)
	}
}

func TestIdle(t *testing.T) {
	if !*figures {
		t.Skip("a measurement: run it with -args -figures")
	}
	b := startBench(t)
	<-time.After(15 * time.Second)
	b.proxy.Forget()
	<-time.After(time.Minute)
	t.Logf("an idle server's commands in a minute: %v", b.commands())
}
