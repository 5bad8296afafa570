package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/cmd/statustail/programtest"
)

// kills is how often the server dies while it is written to.
const kills = 20

// The server is killed again and again while its embedded database is written
// to: nothing that was acknowledged is lost, and a program that watches sees
// every insert.
func TestKilledDuringWrites(t *testing.T) {
	p := programtest.Start(t)
	client, err := mongo.Connect(options.Client().ApplyURI(p.MongoURI).SetHeartbeatInterval(500 * time.Millisecond).SetServerSelectionTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(context.Background())
	things := client.Database("elsewhere").Collection("things")
	if _, err := things.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "counter"}, {Key: "n", Value: 0}}); err != nil {
		t.Fatal(err)
	}

	seen := make(map[string]int)
	watching, stopWatching := context.WithCancel(t.Context())
	defer stopWatching()
	arrived := make(chan string, 100_000)
	began := make(chan struct{})
	go watch(watching, things, began, arrived)
	<-began

	stop, wrote := make(chan struct{}), make(chan struct{})
	var writers sync.WaitGroup
	var mu sync.Mutex
	var inserted []string
	increments := 0
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("%d-%d", w, n)
				for { // until it is acknowledged, or known to be there
					_, err := things.InsertOne(t.Context(), bson.D{{Key: "_id", Value: id}})
					if err == nil || mongo.IsDuplicateKeyError(err) {
						break
					}
					if t.Context().Err() != nil {
						return
					}
				}
				_, err := things.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "counter"}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}})
				mu.Lock()
				inserted = append(inserted, id)
				if err == nil {
					increments++
				}
				mu.Unlock()
				select {
				case wrote <- struct{}{}:
				case <-stop:
				}
			}
		})
	}
	for range kills {
		for range 20 {
			<-wrote
		}
		p.Kill()
		p.Restart()
	}
	close(stop)
	writers.Wait()

	last := "the last"
	if _, err := things.InsertOne(t.Context(), bson.D{{Key: "_id", Value: last}}); err != nil {
		t.Fatal(err)
	}
	timeout := time.After(patience)
	for seen[last] == 0 {
		select {
		case id := <-arrived:
			seen[id]++
		case <-timeout:
			t.Fatalf("the last insert is not seen; %d others are", len(seen))
		}
	}
	lost, twice := 0, 0
	for _, id := range inserted {
		if seen[id] == 0 {
			lost++
		} else if seen[id] > 1 {
			twice++
		}
	}
	n, err := things.CountDocuments(t.Context(), bson.D{})
	if err != nil || int(n) < len(inserted)+2 {
		t.Errorf("%d documents of %d are there, %v", n, len(inserted)+2, err)
	}
	var counter struct{ N int }
	if err := things.FindOne(t.Context(), bson.D{{Key: "_id", Value: "counter"}}).Decode(&counter); err != nil || counter.N < increments {
		t.Errorf("%d increments were acknowledged, %d are left, %v", increments, counter.N, err)
	}
	// What was under way when the server died may be told once more.
	if lost > 0 || twice > kills {
		t.Errorf("of %d inserts %d were not seen, %d twice", len(inserted), lost, twice)
	}
	t.Logf("%d kills, %d inserts, %d increments; %d seen twice", kills, len(inserted), increments, twice)
}

// watch passes on the _ids of what is inserted, whatever happens to the
// server.
func watch(ctx context.Context, things *mongo.Collection, began chan<- struct{}, arrived chan<- string) {
	var token bson.Raw
	for ctx.Err() == nil {
		opts := options.ChangeStream()
		if token != nil {
			opts.SetResumeAfter(token)
		}
		stream, err := things.Watch(ctx, mongo.Pipeline{{{Key: "$match", Value: bson.D{{Key: "operationType", Value: "insert"}}}}}, opts)
		if err != nil {
			continue
		}
		if token == nil {
			close(began)
		}
		token = stream.ResumeToken()
		for stream.Next(ctx) {
			arrived <- stream.Current.Lookup("documentKey", "_id").StringValue()
			token = stream.ResumeToken()
		}
		_ = stream.Close(ctx)
	}
}
