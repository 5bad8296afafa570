//go:build !race

// The database behind the test server is ten times slower under the race
// detector, and is not what is tested here. So this process does without; the
// servers that it starts have it.

package convergence

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/cmd/statustail/programtest"
	"statustail/internal/mongotest"
	"statustail/stream/change"
	"statustail/stream/hund"
	"statustail/stream/hund/hundtest"
	"statustail/stream/store"
)

// A failure is played again with -seed, as far as three processes and a
// network can be.
var (
	seed        = flag.Uint64("seed", 1, "what the random choices are made from")
	steps       = flag.Int("steps", 2000, "writes")
	subscribers = flag.Int("subscribers", 200, "connections")
)

const (
	servers = 3
	pages   = 20
)

var upsert = options.UpdateOne().SetUpsert(true)

func TestMain(m *testing.M) {
	flag.Parse()
	programtest.Race = !*figures
	programtest.Main(m)
}

// deployment is a MongoDB, with a way to make it suffer.
type deployment struct {
	uri    string
	strike func(*rand.Rand) string
}

// deploy gives the deployment that the environment names, whose operator is
// not here, or the test server.
func deploy(t *testing.T) deployment {
	if uri := os.Getenv("STATUSTAIL_TEST_MONGODB_URI"); uri != "" {
		return deployment{uri, func(*rand.Rand) string { return "" }}
	}
	proxy := mongotest.Start(t)
	return deployment{proxy.URI(), proxy.Strike}
}

func TestConvergence(t *testing.T) {
	t.Parallel()
	t.Logf("seed %d", *seed)
	d := deploy(t)
	random := rand.New(rand.NewPCG(*seed, 0))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	client, err := mongo.Connect(options.Client().ApplyURI(d.uri).SetServerSelectionTimeout(5 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(context.Background())
	db := client.Database(fmt.Sprintf("statustail_test_convergence_%d", time.Now().UnixNano()))
	defer db.Drop(context.Background())
	w := &writer{t: t, db: db, rand: random, numbers: map[string]int{}}
	for i := range pages {
		w.pages = append(w.pages, fmt.Sprintf("p%d", i))
	}
	w.prepare(ctx)

	var fleet []*programtest.Program
	var urls []string
	for range servers {
		p := programtest.Start(t, "--mongodb-uri", d.uri, "--database", db.Name(), "--source", "changestream", "--ping", "1s")
		fleet, urls = append(fleet, p), append(urls, p.URL)
	}
	var readers sync.WaitGroup
	var all []*subscriber
	for i := range *subscribers {
		s := &subscriber{
			page: w.pages[i%pages], servers: urls, cut: make(chan struct{}), last: -1,
			rand: rand.New(rand.NewPCG(*seed, uint64(i+1))),
		}
		all = append(all, s)
		readers.Go(func() { s.read(ctx) })
	}
	defer readers.Wait()
	defer stop()
	settle(t, all, 60*time.Second, "the first snapshot", func(s *subscriber) string {
		if !s.ready {
			return "none"
		}
		return ""
	})

	struck := map[string]int{}
	for i := range *steps {
		w.step(ctx)
		switch n := random.IntN(1000); {
		case n < 20:
			struck[d.strike(random)]++
		case n < 60:
			all[random.IntN(len(all))].disconnect()
		case n < 62:
			struck["server killed"]++
			p := fleet[random.IntN(servers)]
			p.Kill()
			p.Restart()
		case n < 63:
			struck["server drained"]++
			p := fleet[random.IntN(servers)]
			p.Signal(syscall.SIGTERM)
			p.Wait()
			p.Restart()
		case n < 64:
			struck["issues dropped"]++
			w.dropIssues(ctx)
		}
		if i%500 == 499 {
			t.Logf("%d writes, %d failed; %v", i+1, w.failed, struck)
		}
	}
	// The last word: a message to each page, so that everybody's end is known.
	for _, page := range w.pages {
		for last := w.numbers[page]; w.numbers[page] == last; {
			w.publish(ctx, page)
		}
	}

	settle(t, all, 90*time.Second, "every message", func(s *subscriber) string {
		// Whoever was told after the last one that some may be missing has
		// nothing to wait for.
		if due := w.numbers[s.page] - 1; s.last < due && !s.told {
			return fmt.Sprintf("message %d: the last was %d", due, s.last)
		}
		return ""
	})
	truth := truths(t, db, w.pages)
	settle(t, all, 60*time.Second, "the truth", func(s *subscriber) string {
		return s.client.Differs(truth(s.page), true)
	})

	told, alarmed := 0, 0
	for _, s := range all {
		s.mu.Lock()
		if len(s.errors) > 0 {
			t.Errorf("a subscriber of %s: %s", s.page, strings.Join(s.errors[:min(3, len(s.errors))], "; "))
		}
		told += s.excused
		alarmed += s.alarmed
		s.mu.Unlock()
	}
	t.Logf("%d writes, %d failed, struck %v; every message once and in order, but for %d gaps, all told of; %d times told where nothing was missing", *steps, w.failed, struck, told, alarmed)
}

// settle waits until nothing is left to say about any subscriber.
func settle(t *testing.T, all []*subscriber, limit time.Duration, what string, missing func(*subscriber) string) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(limit)
	for {
		waiting, example := 0, ""
		for _, s := range all {
			s.mu.Lock()
			if m := missing(s); m != "" {
				waiting++
				example = "page " + s.page + ": " + m
			}
			s.mu.Unlock()
		}
		if waiting == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("after %v, %d of %d subscribers lack %s, such as %.3000s", limit, waiting, len(all), what, example)
		}
	}
}

// truths says what the database holds, as a fresh connection would be told.
// What only time has changed since is part of it.
func truths(t *testing.T, db *mongo.Database, pages []string) func(page string) *hundtest.Client {
	t.Helper()
	docs, _, err := store.New(db, store.Config{}).Load(context.Background(), pages, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func(page string) *hundtest.Client {
		doc, err := docs[page].Decode()
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		e, v, m := hund.Encoder{}, doc.At(now), change.Moment{Now: now}
		frame := string(slices.Concat(e.Init(v, e.Facts(v, m), m, change.Fresh)...))
		name, data, _ := strings.Cut(strings.TrimPrefix(frame, "event: "), "\ndata: ")
		var c hundtest.Client
		if err := c.Apply(name, []byte(data)); err != nil {
			t.Fatal(err)
		}
		return &c
	}
}
