//go:build !noembed

package embedded

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// Of changes to one document at the same moment, by any client, none is lost.
func TestNoChangeIsLost(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir()})
	const writers, each = 4, 25
	things := connect(t, db).Database("statustail").Collection("things")
	if _, err := things.InsertOne(t.Context(), bson.D{{Key: "_id", Value: 1}}); err != nil {
		t.Fatal(err)
	}
	id := bson.D{{Key: "_id", Value: 1}}
	var all sync.WaitGroup
	for range writers {
		things := connect(t, db).Database("statustail").Collection("things")
		all.Go(func() {
			for range each {
				if _, err := things.UpdateOne(t.Context(), id, bson.D{{Key: "$push", Value: bson.D{{Key: "pushed", Value: 1}}}}); err != nil {
					t.Error(err)
				}
				if err := things.FindOneAndUpdate(t.Context(), id, bson.D{{Key: "$inc", Value: bson.D{{Key: "counted", Value: 1}}}}).Err(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	var got struct {
		Pushed  []int
		Counted int
	}
	if err := things.FindOne(t.Context(), id).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if len(got.Pushed) != writers*each || got.Counted != writers*each {
		t.Errorf("%d pushed and %d counted, want %d", len(got.Pushed), got.Counted, writers*each)
	}
}

// Large documents, and writes that want no answer, pass too.
func TestGatePassesWhatIsUnusual(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir()})
	client := connect(t, db)
	things := client.Database("statustail").Collection("things")
	large := strings.Repeat("x", 1<<20)
	if _, err := things.InsertOne(t.Context(), bson.D{{Key: "_id", Value: 1}, {Key: "large", Value: large}}); err != nil {
		t.Fatal(err)
	}
	id := bson.D{{Key: "_id", Value: 1}}
	if _, err := things.ReplaceOne(t.Context(), id, bson.D{{Key: "larger", Value: large + "y"}}); err != nil {
		t.Fatal(err)
	}
	var got struct{ Larger string }
	if err := things.FindOne(t.Context(), id).Decode(&got); err != nil || got.Larger != large+"y" {
		t.Fatalf("%d bytes came back, %v", len(got.Larger), err)
	}
	hasty := client.Database("statustail").Collection("things", options.Collection().SetWriteConcern(writeconcern.Unacknowledged()))
	if _, err := hasty.DeleteOne(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := things.UpdateOne(t.Context(), id, bson.D{{Key: "$set", Value: bson.D{{Key: "a", Value: 1}}}}); err != nil {
		t.Fatal(err)
	}
}

// message is what a client sends: an OP_MSG with a document that begins with
// a command's name, as far as the gate reads it.
func message(id uint32, flags uint32, command string, rest int) []byte {
	doc := append([]byte{0, 0, 0, 0, 0x02}, command...)
	doc = append(doc, make([]byte, 1+rest)...)
	b := make([]byte, headerSize+4+1, headerSize+5+len(doc))
	binary.LittleEndian.PutUint32(b[4:], id)
	binary.LittleEndian.PutUint32(b[12:], opMsg)
	binary.LittleEndian.PutUint32(b[16:], flags)
	b = append(b, doc...)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return b
}

func answer(to []byte) []byte {
	b := message(99, 0, "ok", 0)
	copy(b[8:12], to[4:8])
	return b
}

// side is one end of a connection, with a deadline.
func side(t *testing.T, c net.Conn) net.Conn {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// scripted is a gate whose backend is the test.
func scripted(t *testing.T, stall time.Duration) (client func() net.Conn, backend <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	behind := make(chan net.Conn, 10)
	g := openGate(l, stall, func() (net.Conn, error) {
		ours, theirs := net.Pipe()
		behind <- side(t, ours)
		return theirs, nil
	})
	t.Cleanup(g.close)
	return func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return side(t, c)
	}, behind
}

func send(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

func TestGate(t *testing.T) {
	client, backend := scripted(t, time.Minute)
	one := client()
	behindOne := <-backend
	other := client()
	behindOther := <-backend

	hello := message(1, 0, "hello", 5)
	send(t, one, hello)
	receive(t, behindOne, hello)
	send(t, behindOne, answer(hello))
	receive(t, one, answer(hello))

	// While a change is under way everything else passes, also of others, and
	// what answers something else is not taken for its answer.
	update, find := message(2, 0, "update", 100_000), message(3, 0, "find", 0)
	send(t, one, update)
	receive(t, behindOne, update)
	send(t, other, find)
	receive(t, behindOther, find)
	send(t, behindOne, answer(hello))
	receive(t, one, answer(hello))
	send(t, behindOne, answer(update))
	receive(t, one, answer(update))
	// The next one's turn.
	change := message(4, 0, "findAndModify", 10)
	send(t, other, change)
	receive(t, behindOther, change)
	send(t, behindOther, answer(change))
	receive(t, other, answer(change))
	// One that wants no answer is not waited for.
	hasty := message(5, moreToCome, "delete", 0)
	for range 2 {
		send(t, other, hasty)
		receive(t, behindOther, hasty)
	}

	// A client that goes while its change is under way holds up nobody, and
	// neither does a backend that goes.
	send(t, one, update)
	receive(t, behindOne, update)
	one.Close()
	behindOne.Close()
	send(t, other, change)
	receive(t, behindOther, change)
	send(t, behindOther, answer(change))
	receive(t, other, answer(change))

	// What is no message ends its connection only.
	bad := client()
	<-backend
	send(t, bad, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if _, err := bad.Read(make([]byte, 1)); err != io.EOF && err == nil {
		t.Errorf("the connection is still there: %v", err)
	}
	send(t, other, find)
	receive(t, behindOther, find)
}

// A client that takes none of its replies is cut, and its change with it, so
// that others can change something again.
func TestGateCutsWhoStalls(t *testing.T) {
	client, backend := scripted(t, 100*time.Millisecond)
	deaf := client()
	behindDeaf := <-backend
	update := message(1, 0, "update", 0)
	send(t, deaf, update)
	receive(t, behindDeaf, update)
	large := message(2, 0, "unasked", 1<<20)
	for cut := false; !cut; {
		_, err := behindDeaf.Write(large)
		cut = err != nil
	}
	other := client()
	behindOther := <-backend
	send(t, other, update)
	receive(t, behindOther, update)
	send(t, behindOther, answer(update))
	receive(t, other, answer(update))
}
