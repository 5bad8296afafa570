package tail

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
	"statustail/stream/mongodb/mongodbtest"
)

// An opened sink says when following began, and from where.
type opened struct {
	deaf
	from chan change.Position
}

func (o opened) Opened(from, _ change.Position) { o.from <- from }

// slow is a server that does not get to a place in its oplog that is further
// back than it can search, and to no token.
func slow(t *testing.T, reach uint32) (*mongodbtest.Server, func() (starts, resumes int)) {
	var mu sync.Mutex
	starts, resumes := 0, 0
	s := mongodbtest.Start(t, mongodbtest.Config{Clustered: true, Script: func(name string, command bson.Raw) bson.D {
		reply := func(batch string, id int64) bson.D {
			return bson.D{{Key: "cursor", Value: bson.D{
				{Key: batch, Value: bson.A{}}, {Key: "id", Value: id}, {Key: "ns", Value: "statustail.$cmd.aggregate"},
				{Key: "postBatchResumeToken", Value: bson.D{{Key: "_data", Value: "82000003E8000000012B0229296E04"}}},
			}}}
		}
		failure := bson.D{{Key: "ok", Value: 0.0}, {Key: "code", Value: 8000}, {Key: "codeName", Value: "AtlasError"}, {Key: "errmsg", Value: "it ends"}}
		spec := command.Lookup("pipeline", "0", "$changeStream")
		switch {
		case name == "getMore": // the stream ends at once
			return failure
		case name != "aggregate":
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if spec.Document().Lookup("resumeAfter").Type != 0 {
			resumes++
			mu.Unlock()
			<-t.Context().Done()
			mu.Lock()
			return failure
		}
		starts++
		at, _, _ := spec.Document().Lookup("startAtOperationTime").TimestampOK()
		if at+reach < 1000 { // where its clock begins
			mu.Unlock()
			<-t.Context().Done()
			mu.Lock()
			return failure
		}
		return reply("firstBatch", 7)
	}})
	return s, func() (int, int) { mu.Lock(); defer mu.Unlock(); return starts, resumes }
}

// A stream that takes too long to open is opened with half of the window, and
// so on, and one that takes too long to resume begins anew, instead of the
// same way for ever.
func TestSlowOpening(t *testing.T) {
	s, counts := slow(t, 100)
	f := NewChangeStream(Config{Client: s.Client(), Database: "statustail", Replay: 400 * time.Second, Logger: slog.New(slog.DiscardHandler)}).(*changeStream)
	f.openWithin = 300 * time.Millisecond
	sink := opened{from: make(chan change.Position, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f.Follow(ctx, sink) }()
	select {
	case from := <-sink.from:
		if starts, _ := counts(); starts < 3 || from.Seconds() < 900 {
			t.Errorf("opened from %v at attempt %d", from, starts)
		}
	case <-time.After(time.Minute):
		starts, _ := counts()
		t.Fatalf("not opened after %d attempts", starts)
	}
	select {
	case <-sink.from:
		if _, resumes := counts(); resumes < maxRefusals {
			t.Errorf("the token was given up after %d attempts", resumes)
		}
	case <-time.After(time.Minute):
		_, resumes := counts()
		t.Fatalf("not opened anew after %d attempts to resume", resumes)
	}
	cancel()
	<-done
}
