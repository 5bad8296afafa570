//go:build !noembed

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// patience is how long anything may take that has to happen. It bounds
// failing tests only.
const patience = time.Minute

func d(pairs ...any) bson.D {
	doc := bson.D{}
	for i := 0; i < len(pairs); i += 2 {
		doc = append(doc, bson.E{Key: pairs[i].(string), Value: pairs[i+1]})
	}
	return doc
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// next is what the next event of a stream is about.
func next(t *testing.T, stream *mongo.ChangeStream) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if !stream.Next(ctx) {
		t.Fatalf("no event: %v", stream.Err())
	}
	e := stream.Current
	operation, _ := e.Lookup("operationType").StringValueOK()
	coll, _ := e.Lookup("ns", "coll").StringValueOK()
	id, _ := e.Lookup("documentKey", "_id").StringValueOK()
	return fmt.Sprint(operation, " ", coll, " ", id)
}

func expect(t *testing.T, stream *mongo.ChangeStream, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := next(t, stream); got != w {
			t.Fatalf("got %q, want %q", got, w)
		}
	}
}

func TestWatchACollectionADatabaseAndAll(t *testing.T) {
	client := connect(t, open(t, Config{Dir: t.TempDir()}))
	db := client.Database("one")
	coll := must(db.Collection("a").Watch(t.Context(), mongo.Pipeline{}))(t)
	database := must(db.Watch(t.Context(), mongo.Pipeline{}, options.ChangeStream().SetFullDocument(options.UpdateLookup)))(t)
	all := must(client.Watch(t.Context(), mongo.Pipeline{{{Key: "$match", Value: d("operationType", "insert")}}}))(t)

	must(db.Collection("a").InsertOne(t.Context(), d("_id", "x", "n", 1)))(t)
	must(db.Collection("b").InsertOne(t.Context(), d("_id", "y")))(t)
	must(client.Database("two").Collection("c").InsertOne(t.Context(), d("_id", "z")))(t)
	must(db.Collection("a").UpdateOne(t.Context(), d("_id", "x"), d("$inc", d("n", 1))))(t)
	must(db.Collection("a").UpdateOne(t.Context(), d("_id", "x"), d("$set", d("n", 2))))(t) // changes nothing
	must(db.Collection("a").ReplaceOne(t.Context(), d("_id", "x"), d("m", 1)))(t)
	must(db.Collection("a").DeleteOne(t.Context(), d("_id", "x")))(t)
	expect(t, coll, "insert a x", "update a x")
	if n, _ := coll.Current.Lookup("updateDescription", "updatedFields", "n").AsInt64OK(); n != 2 {
		t.Errorf("the update is %s", coll.Current)
	}
	expect(t, coll, "replace a x", "delete a x")
	expect(t, database, "insert a x", "insert b y", "update a x")
	if v := database.Current.Lookup("fullDocument"); v.Type != bson.TypeNull {
		t.Errorf("the document is gone, and found: %s", v)
	}
	expect(t, database, "replace a x", "delete a x")
	expect(t, all, "insert a x", "insert b y", "insert c z")

	// What is gone ends the stream on it, and only startAfter goes on.
	if err := db.Collection("a").Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, coll, "drop a ", "invalidate  ")
	token := coll.ResumeToken()
	if coll.Next(t.Context()) {
		t.Errorf("after an invalidate comes %s", coll.Current)
	}
	_, err := db.Collection("a").Watch(t.Context(), mongo.Pipeline{}, options.ChangeStream().SetResumeAfter(token))
	if !isCode(err, 260) {
		t.Errorf("resumeAfter an invalidate: %v", err)
	}
	coll = must(db.Collection("a").Watch(t.Context(), mongo.Pipeline{}, options.ChangeStream().SetStartAfter(token)))(t)
	must(db.Collection("a").InsertOne(t.Context(), d("_id", "again")))(t)
	expect(t, coll, "insert a again")
	expect(t, database, "drop a ", "insert a again")
	if err := db.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, database, "drop a ", "drop b ", "dropDatabase  ", "invalidate  ")
}

func isCode(err error, code int) bool {
	var refused mongo.ServerError
	return errors.As(err, &refused) && refused.HasErrorCode(code)
}

// A stream goes on where it was over a restart, also from a time; what lies
// before the log is lost as MongoDB says it.
func TestResumeOverARestart(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir, LogEvents: 40})
	client := connect(t, db)
	things := client.Database("one").Collection("things")
	stream := must(things.Watch(t.Context(), mongo.Pipeline{}))(t)
	must(things.InsertOne(t.Context(), d("_id", "a")))(t)
	expect(t, stream, "insert things a")
	token := stream.ResumeToken()
	before := db.ClusterTime()
	must(things.InsertOne(t.Context(), d("_id", "b")))(t)
	client.Disconnect(t.Context())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db = open(t, Config{Dir: dir, LogEvents: 40})
	if now := db.ClusterTime(); !now.After(before) {
		t.Errorf("the clock is at %v, was past %v", now, before)
	}
	client = connect(t, db)
	things = client.Database("one").Collection("things")
	stream = must(things.Watch(t.Context(), mongo.Pipeline{}, options.ChangeStream().SetResumeAfter(token)))(t)
	expect(t, stream, "insert things b")
	stream = must(things.Watch(t.Context(), mongo.Pipeline{}, options.ChangeStream().SetStartAtOperationTime(&before)))(t)
	expect(t, stream, "insert things a", "insert things b")
	long := must(things.Watch(t.Context(), mongo.Pipeline{}, options.ChangeStream().SetStartAtOperationTime(&bson.Timestamp{T: 1})))(t)
	expect(t, long, "insert things a")

	for n := range 100 {
		must(things.InsertOne(t.Context(), d("_id", fmt.Sprint(n))))(t)
	}
	for what, opts := range map[string]*options.ChangeStreamOptionsBuilder{
		"a token": options.ChangeStream().SetResumeAfter(token), "a time": options.ChangeStream().SetStartAtOperationTime(&before),
	} {
		if _, err := things.Watch(t.Context(), mongo.Pipeline{}, opts); !isCode(err, 286) {
			t.Errorf("from %s before the log: %v", what, err)
		}
	}
}

// A client that reads after its own writes can do so over a restart.
func TestCausalReads(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir})
	client := connect(t, db)
	session := must(client.StartSession())(t)
	defer session.EndSession(t.Context())
	ctx := mongo.NewSessionContext(t.Context(), session)
	things := client.Database("one").Collection("things")
	for n := range 20 {
		must(things.InsertOne(ctx, d("_id", n)))(t)
		if c := must(things.CountDocuments(ctx, d()))(t); c != int64(n+1) {
			t.Fatalf("%d documents after %d inserts", c, n+1)
		}
	}
	at, clusterTime := session.OperationTime(), session.ClusterTime()
	client.Disconnect(t.Context())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	client = connect(t, open(t, Config{Dir: dir}))
	session = must(client.StartSession())(t)
	defer session.EndSession(t.Context())
	if err := errors.Join(session.AdvanceOperationTime(at), session.AdvanceClusterTime(clusterTime)); err != nil {
		t.Fatal(err)
	}
	ctx = mongo.NewSessionContext(t.Context(), session)
	if c := must(client.Database("one").Collection("things").CountDocuments(ctx, d()))(t); c != 20 {
		t.Errorf("%d documents", c)
	}
	// A time that a client names does not move the clock.
	ahead := bson.Timestamp{T: at.T + 1000, I: 1}
	err := client.Database("one").RunCommand(t.Context(), d("find", "things", "readConcern", d("afterClusterTime", ahead))).Err()
	if !isCode(err, 72) {
		t.Errorf("a read in the future: %v", err)
	}
	if now := must(client.Database("admin").RunCommand(t.Context(), d("ping", 1)).Raw())(t); now.Lookup("operationTime").String() == fmt.Sprint(ahead) {
		t.Errorf("the clock was moved to %v", ahead)
	}
}

// Documents that are too large for one reply neither stop a stream nor a
// query, before and after a restart.
func TestLargeDocuments(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir})
	client := connect(t, db)
	one := client.Database("one")
	filter := mongo.Pipeline{{{Key: "$match", Value: d("ns.coll", "small")}}}
	stream := must(one.Watch(t.Context(), filter))(t)
	pad := make([]byte, 15<<20)
	for n := range 4 {
		must(one.Collection("large").InsertOne(t.Context(), d("_id", n, "pad", pad)))(t)
	}
	must(one.Collection("small").InsertOne(t.Context(), d("_id", "a")))(t)
	expect(t, stream, "insert small a")
	token := stream.ResumeToken()

	look := func(c *mongo.Client) {
		t.Helper()
		cursor := must(c.Database("one").Collection("large").Find(t.Context(), d()))(t)
		n := 0
		for cursor.Next(t.Context()) {
			if len(cursor.Current) < len(pad) {
				t.Errorf("a document of %d bytes", len(cursor.Current))
			}
			n++
		}
		if n != 4 || cursor.Err() != nil {
			t.Errorf("%d documents, %v", n, cursor.Err())
		}
		if slow {
			return
		}
		cursor = must(c.Database("one").Collection("large").Aggregate(t.Context(), mongo.Pipeline{}, options.Aggregate().SetBatchSize(3)))(t)
		var docs []bson.Raw
		if err := cursor.All(t.Context(), &docs); err != nil || len(docs) != 4 {
			t.Errorf("aggregate: %d documents, %v", len(docs), err)
		}
	}
	look(client)
	// All of them at once, as change events.
	whole := must(one.Watch(t.Context(), mongo.Pipeline{}, options.ChangeStream().SetStartAtOperationTime(&bson.Timestamp{T: 1})))(t)
	for range 4 {
		if got := next(t, whole); got != "insert large " {
			t.Errorf("got %q", got)
		}
	}
	client.Disconnect(t.Context())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	client = connect(t, open(t, Config{Dir: dir}))
	stream = must(client.Database("one").Watch(t.Context(), filter, options.ChangeStream().SetResumeAfter(token)))(t)
	must(client.Database("one").Collection("small").InsertOne(t.Context(), d("_id", "b")))(t)
	expect(t, stream, "insert small b")
	if !slow {
		look(client)
	}
	_, err := client.Database("one").Collection("large").InsertOne(t.Context(), d("pad", make([]byte, 16<<20)))
	if err == nil {
		t.Error("a document of more than 16 MB is accepted")
	}
}

// An earlier version's folder: its log is removed, and look-ups of _ids are
// indexed.
func TestFolderOfAnEarlierVersion(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir})
	client := connect(t, db)
	must(client.Database("one").Collection("things").InsertOne(t.Context(), d("_id", "a")))(t)
	must(client.Database("local").Collection("oplog.rs").InsertOne(t.Context(), d("_id", "a")))(t)
	client.Disconnect(t.Context())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	dropIndexes(t, dir, "one")
	if err := os.Chmod(filepath.Join(dir, "one"+extension), 0o644); err != nil {
		t.Fatal(err)
	}
	db = open(t, Config{Dir: dir})
	client = connect(t, db)
	plan := must(client.Database("one").RunCommand(t.Context(), d("explain", d("find", "things", "filter", d("_id", "a")))).Raw())(t)
	if p := plan.Lookup("queryPlanner").String(); !contains(p, "SEARCH") || !contains(p, "by-id") {
		t.Errorf("the plan is %s", p)
	}
	for _, name := range []string{"one" + extension, "one" + extension + "-wal"} {
		if info := must(os.Stat(filepath.Join(dir, name)))(t); info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v", name, info.Mode())
		}
	}
	if names := must(client.Database("local").ListCollectionNames(t.Context(), d()))(t); len(names) != 0 {
		t.Errorf("there are %v", names)
	}
	must(client.Database("one").Collection("things").InsertOne(t.Context(), d("_id", "b")))(t)
}
