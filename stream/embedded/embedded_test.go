//go:build !noembed

package embedded

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func open(t *testing.T, cfg Config) *DB {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	db, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func connect(t *testing.T, db *DB) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(db.URI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	return client
}

type entry struct {
	ID bson.ObjectID `bson:"_id"`
	Op string        `bson:"op"`
	NS string        `bson:"ns"`
	TS bson.Timestamp
}

func log(t *testing.T, client *mongo.Client) []entry {
	t.Helper()
	cur, err := client.Database(LogDatabase).Collection(LogCollection).Find(t.Context(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	if err := cur.All(t.Context(), &entries); err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestWritesOfAnyClientAreLoggedAndSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder with spaces & ü + 1")
	db := open(t, Config{Dir: dir})
	client := connect(t, db)
	pages := client.Database("statustail").Collection("pages")
	if _, err := pages.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "acme"}}); err != nil {
		t.Fatal(err)
	}
	before := log(t, client)
	if len(before) != 1 || before[0].Op != "i" || before[0].NS != "statustail.pages" {
		t.Fatalf("log: %+v", before)
	}
	client.Disconnect(t.Context())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db = open(t, Config{Dir: dir})
	client = connect(t, db)
	pages = client.Database("statustail").Collection("pages")
	if _, err := pages.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "other"}}); err != nil {
		t.Fatal(err)
	}
	after := log(t, client)
	if len(after) != 2 {
		t.Fatalf("log after a restart: %+v", after)
	}
	if !after[1].TS.After(before[0].TS) {
		t.Errorf("a write after the restart is at %v, one before it at %v", after[1].TS, before[0].TS)
	}
}

func TestWrote(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir()})
	client := connect(t, db)
	wrote := db.Wrote(t.Context())
	things := client.Database("statustail").Collection("things")
	for i := range 20 {
		if _, err := things.InsertOne(t.Context(), bson.D{{Key: "_id", Value: i}}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-wrote:
		case <-time.After(5 * time.Second):
			t.Fatalf("write %d was not noticed", i)
		}
	}
	if err := client.Database("statustail").Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-wrote:
	case <-time.After(5 * time.Second):
		t.Fatal("dropping a database was not noticed")
	}
}

func TestTrimDeletesExactlyWhatItIsTold(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir()})
	client := connect(t, db)
	var docs []any
	for range 1200 {
		docs = append(docs, bson.D{})
	}
	if _, err := client.Database("statustail").Collection("things").InsertMany(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	entries := log(t, client)
	keep := map[bson.ObjectID]bool{}
	var ids []bson.ObjectID
	for i, e := range entries {
		if i%100 == 7 {
			keep[e.ID] = true
		} else {
			ids = append(ids, e.ID)
		}
	}
	if err := db.Trim(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	left := log(t, client)
	if len(left) != len(keep) {
		t.Fatalf("%d entries left, want %d", len(left), len(keep))
	}
	for _, e := range left {
		if !keep[e.ID] {
			t.Errorf("entry %v should be gone", e.ID)
		}
	}
	if err := client.Database(LogDatabase).Collection(LogCollection).Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Trim(t.Context(), ids); err != nil {
		t.Errorf("trim a log that is gone: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	used := open(t, Config{Dir: t.TempDir()})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"an address of the network", Config{Dir: t.TempDir(), Listen: "0.0.0.0:0"}, "not a loopback address"},
		{"all addresses", Config{Dir: t.TempDir(), Listen: ":27018"}, "not a loopback address"},
		{"a name", Config{Dir: t.TempDir(), Listen: "db.example.com:27018"}, "not a loopback address"},
		{"no port", Config{Dir: t.TempDir(), Listen: "127.0.0.1"}, "want host:port"},
		{"a taken port", Config{Dir: t.TempDir(), Listen: taken.Addr().String()}, "is in use by another program"},
		{"a folder in use", Config{Dir: used.dir, Listen: "127.0.0.1:0"}, "is in use by another process"},
		{"a file for a folder", Config{Dir: file, Listen: "127.0.0.1:0"}, "data folder"},
		{"a folder that is no URI", Config{Dir: t.TempDir() + "/50%", Listen: "127.0.0.1:0"}, "choose another folder"},
		{"no folder", Config{Listen: "127.0.0.1:0"}, "no data folder given"},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, err := Open(t.Context(), test.cfg)
			if err == nil {
				db.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want it to say %q", err, test.want)
			}
		})
	}
}
