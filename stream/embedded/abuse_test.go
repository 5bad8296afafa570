//go:build !noembed

package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"database/sql"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func dropIndexes(t *testing.T, dir, name string) {
	t.Helper()
	db := must(sql.Open("sqlite", fileURL(dir)+name+extension+"?mode=rw"))(t)
	defer db.Close()
	var index string
	if err := db.QueryRow(`SELECT name FROM sqlite_master WHERE name LIKE '%-by-id'`).Scan(&index); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`DROP INDEX ` + quote(index)); err != nil {
		t.Fatal(err)
	}
}

// Acknowledged and unacknowledged writes of the same documents, from many
// connections: each is done once, and every reply is to its own command.
func TestWritersBesideUnacknowledgedOnes(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir()})
	client := connect(t, db)
	things := client.Database("one").Collection("things")
	must(things.InsertOne(t.Context(), d("_id", "counter", "n", 0, "quick", 0)))(t)
	hasty := client.Database("one").Collection("things", options.Collection().SetWriteConcern(writeconcern.Unacknowledged()))
	const writers, each = 6, 100
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if i%4 == 0 {
					_, _ = hasty.UpdateOne(context.Background(), d("_id", "counter"), d("$inc", d("quick", 1)))
					_, _ = hasty.InsertOne(context.Background(), d("_id", fmt.Sprint("hasty-", w, "-", i)))
				}
				r, err := things.UpdateOne(context.Background(), d("_id", "counter"), d("$inc", d("n", 1)))
				if err != nil || r.MatchedCount != 1 || r.ModifiedCount != 1 {
					t.Errorf("writer %d: %+v, %v", w, r, err)
					return
				}
				id := fmt.Sprint("own-", w, "-", i)
				in, err := things.InsertOne(context.Background(), d("_id", id))
				if err != nil || in.InsertedID != id {
					t.Errorf("writer %d: %+v, %v", w, in, err)
					return
				}
				var found bson.M
				if err := things.FindOne(context.Background(), d("_id", id)).Decode(&found); err != nil || found["_id"] != id {
					t.Errorf("writer %d: asked for %s, got %v, %v", w, id, found, err)
					return
				}
			}
		})
	}
	wg.Wait()
	var counter struct{ N, Quick int }
	if err := things.FindOne(t.Context(), d("_id", "counter")).Decode(&counter); err != nil {
		t.Fatal(err)
	}
	if counter.N != writers*each {
		t.Errorf("%d increments of %d are left", counter.N, writers*each)
	}
}

// message is the bytes of an OP_MSG with one document.
func message(doc []byte) []byte {
	b := make([]byte, 16+4+1, 16+4+1+len(doc))
	binary.LittleEndian.PutUint32(b[0:], uint32(21+len(doc)))
	binary.LittleEndian.PutUint32(b[4:], 77)
	binary.LittleEndian.PutUint32(b[12:], 2013)
	return append(b, doc...)
}

// nest is a document of nested ones, so deep.
func nest(depth int) []byte {
	var open []byte
	for i := range depth {
		open = binary.LittleEndian.AppendUint32(open, uint32(5+8*(depth-i)))
		open = append(open, 3, 'a', 0)
	}
	return append(append(open, 5, 0, 0, 0, 0), make([]byte, depth)...)
}

// Whatever else clients send, everyone else is served.
func TestStrangers(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir()})
	client := connect(t, db)
	things := client.Database("one").Collection("things")
	must(things.InsertOne(t.Context(), d("_id", "a", "n", 0)))(t)
	address := strings.Trim(strings.TrimPrefix(db.URI(), "mongodb://"), "/")
	dial := func() net.Conn {
		c := must(net.Dial("tcp", address))(t)
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	update := message(must(bson.Marshal(d("update", "things", "updates", bson.A{d("q", d("_id", "a"), "u", d("$inc", d("n", 1)))}, "$db", "one")))(t))
	served := 0
	serve := func(what string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		served++
		if _, err := things.UpdateOne(ctx, d("_id", "a"), d("$inc", d("served", 1))); err != nil {
			t.Fatalf("beside %s: %v", what, err)
		}
	}
	for range 20 {
		half := dial()
		must(half.Write(update[:len(update)-3]))(t)
	}
	serve("half of an update")
	for range 20 { // of 48 MB, 20 times as much as all may take
		huge := dial()
		head := append([]byte(nil), update[:16]...)
		binary.LittleEndian.PutUint32(head, 47_999_999)
		must(huge.Write(append(head, make([]byte, 100)...)))(t)
	}
	serve("promises of huge commands")
	for what, bytes := range map[string][]byte{
		"HTTP":            []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a short message": {5, 0, 0, 0},
		"a long one":      {0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0xdd, 7, 0, 0},
		"nothing inside":  message(nil),
		"a torn document": message([]byte{50, 0, 0, 0, 2, 'x', 0, 40, 0, 0, 0, 'y', 0}),
		"noise":           message([]byte(strings.Repeat("\x05\xff", 1000))),
	} {
		c := dial()
		must(c.Write(bytes))(t)
		if what == "a short message" {
			continue // the rest may still come
		}
		if n, err := io.Copy(io.Discard, c); err != nil || n != 0 {
			t.Errorf("%s is answered with %d bytes, %v", what, n, err)
		}
	}
	serve("noise")
	for _, depth := range []int{300, 1_500_000} {
		c := dial()
		must(c.Write(message(nest(depth))))(t)
		reply := make([]byte, 16)
		if _, err := io.ReadFull(c, reply); err != nil {
			t.Fatalf("%d deep: %v", depth, err)
		}
		body := make([]byte, binary.LittleEndian.Uint32(reply)-16)
		if _, err := io.ReadFull(c, body); err != nil || !contains(string(body), "nested deeper than 200") {
			t.Errorf("%d deep: %q, %v", depth, body, err)
		}
	}
	serve("deep nesting")
	// A client that sends changes and takes no replies.
	deaf := dial().(*net.TCPConn)
	if err := deaf.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	go func() {
		for range 20_000 {
			if _, err := deaf.Write(update); err != nil {
				return
			}
		}
	}()
	serve("one that takes no replies")
	var found bson.M
	if err := things.FindOne(t.Context(), d("_id", "a")).Decode(&found); err != nil || found["served"] != int32(served) {
		t.Errorf("served %d, found %v, %v", served, found, err)
	}
}

// FuzzCommands sends commands made of fuzzed documents to a real server: it
// answers every one, and goes on.
func FuzzCommands(f *testing.F) {
	db, err := Open(context.Background(), Config{Dir: f.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	address := must(url.Parse(db.URI()))(f).Host
	for _, seed := range []bson.D{
		d("find", "c", "filter", d("a", d("$gt", 1)), "$db", "x"),
		d("insert", "c", "documents", bson.A{d("a", bson.A{1, "x", d()})}, "$db", "x"),
		d("update", "c", "updates", bson.A{d("q", d(), "u", d("$push", d("a", d("$each", bson.A{1}, "$slice", -1))), "upsert", true, "multi", true)}, "$db", "x"),
		d("findAndModify", "c", "query", d("a", 1), "update", d("$set", d("b.c", 1)), "upsert", true, "new", true, "fields", d("a", 1), "$db", "x"),
		d("delete", "c", "deletes", bson.A{d("q", d("a", d("$in", bson.A{1})), "limit", 0)}, "$db", "x"),
		d("aggregate", 1, "pipeline", bson.A{d("$changeStream", d("fullDocument", "updateLookup")), d("$match", d("ns.coll", "c")), d("$project", d("ns", 1))}, "cursor", d(), "$db", "x"),
		d("aggregate", "c", "pipeline", bson.A{d("$match", d("a", 1)), d("$group", d("_id", "$a"))}, "cursor", d(), "$db", "x"),
		d("getMore", int64(1), "collection", "c", "maxTimeMS", 1, "$db", "x"),
		d("createIndexes", "c", "indexes", bson.A{d("key", d("a", 1), "name", "a_1")}, "$db", "x"),
		d("renameCollection", "x.c", "to", "x.d", "$db", "admin"),
		d("hello", 1, "$db", "admin"),
	} {
		f.Add([]byte(must(bson.Marshal(seed))(f)))
	}
	exchange := func(t *testing.T, c net.Conn, doc []byte) (answered bool) {
		t.Helper()
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(message(doc)); err != nil {
			return false
		}
		head := make([]byte, 16)
		if _, err := io.ReadFull(c, head); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatalf("no answer to %s", bson.Raw(doc))
			}
			return false
		}
		reply := make([]byte, binary.LittleEndian.Uint32(head)-16)
		if _, err := io.ReadFull(c, reply); err != nil || bson.Raw(reply[5:]).Validate() != nil {
			t.Fatalf("the answer to %s: %v", bson.Raw(doc), err)
		}
		return true
	}
	ping := must(bson.Marshal(d("ping", 1, "$db", "admin")))(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		exchange(t, c, doc)
		again, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if !exchange(t, again, ping) {
			t.Fatal("it does not answer any more")
		}
	})
}

// More clients than the backend has connections read large results at the
// same time; none loses its cursor.
func TestManyCursors(t *testing.T) {
	client := connect(t, open(t, Config{Dir: t.TempDir()}))
	things := client.Database("one").Collection("things")
	var docs []any
	for n := range 60 {
		docs = append(docs, d("_id", fmt.Sprint(n)))
	}
	must(things.InsertMany(t.Context(), docs))(t)
	var readers sync.WaitGroup
	for range 80 {
		readers.Go(func() {
			cursor, err := things.Find(context.Background(), d(), options.Find().SetBatchSize(7))
			if err != nil {
				t.Error(err)
				return
			}
			var all []bson.Raw
			if err := cursor.All(context.Background(), &all); err != nil || len(all) != len(docs) {
				t.Errorf("%d documents, %v", len(all), err)
			}
		})
	}
	readers.Wait()
}
