package tail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"statustail/stream/change"
	"statustail/stream/mongodb"
	"statustail/stream/schema"
)

// again is how soon a cursor that died is opened anew when nothing is wrong:
// that is how a tailable cursor on an empty collection behaves.
const again = 500 * time.Millisecond

// capped follows the capped collection events by a tailable cursor, on a
// standalone mongod. Such cursors die easily, so all that counts is the last
// document seen: a new cursor begins at the start, finds it and goes on after
// it.
type capped struct {
	cfg     Config
	logger  *slog.Logger
	metrics *metrics
	reader  *reader

	opened bool
	from   change.Position
	// at is the position of the last document seen, id its _id, absent when
	// there was none yet.
	at change.Position
	id bson.RawValue
}

// NewCapped follows the capped collection events of the database. A change
// elsewhere is known only by a document named $changed in it.
//
// The database has no clock to share, so the position of a document is made of
// its _id: the second in its ObjectID (without one, that of created_at), and a
// number within it, but always after the document before it. That gives the
// same again after a restart, unless documents that have rolled off since had
// times in the future.
func NewCapped(cfg Config) Follower {
	m := newMetrics(cfg.Registerer)
	return &capped{cfg: cfg, logger: cfg.logger(), metrics: m, reader: newReader(cfg, m)}
}

func (f *capped) Follow(ctx context.Context, sink Sink) error {
	out := &outage{log: f.logger, metrics: f.metrics, sink: sink}
	for {
		err := f.tail(ctx, sink, out)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil || cursorDied(err) {
			f.logger.Debug("the tailable cursor died, opening another", "error", err)
			f.metrics.reconnects.Inc()
			err = pause(ctx, again)
		} else {
			err = out.failed(ctx, explain(err, f.cfg.Database))
		}
		if err != nil {
			return err
		}
	}
}

// cursorDied reports the ways in which a tailable cursor ends by itself.
func cursorDied(err error) bool {
	return mongodb.HasCode(err, mongodb.CodeCappedPositionLost, mongodb.CodeQueryPlanKilled, mongodb.CodeCursorNotFound)
}

// A logged is a document of the collection with its position.
type logged struct {
	doc bson.Raw
	at  change.Position
}

// tail reads the collection from its start and goes on until the cursor dies,
// which is no error.
func (f *capped) tail(ctx context.Context, sink Sink, out *outage) error {
	events := f.cfg.Client.Database(f.cfg.Database).Collection(schema.Events,
		options.Collection().SetReadPreference(readpref.Primary()))
	opening, cancel := context.WithTimeout(ctx, openWithin)
	cursor, err := events.Find(opening, bson.D{}, options.Find().SetCursorType(options.TailableAwait).SetMaxAwaitTime(awaitHistory))
	cancel()
	if err != nil {
		return f.notCapped(ctx, err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		cursor.Close(closing)
	}()

	alive, err := f.catchUp(ctx, cursor, sink)
	if err != nil {
		return err
	}
	out.over()
	cursor.SetMaxAwaitTime(awaitFor)
	for alive {
		more, err := next(ctx, cursor, awaitFor)
		if err != nil {
			return err
		}
		if more {
			f.pass(cursor.Current, sink)
		}
		if cursor.RemainingBatchLength() == 0 {
			f.settle(sink)
		}
		alive = more || cursor.ID() != 0
	}
	return nil
}

// next is false when nothing came within the time the server waits.
func next(ctx context.Context, cursor *mongo.Cursor, wait time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+answerWithin)
	defer cancel()
	more := cursor.TryNext(ctx)
	return more, cursor.Err()
}

// catchUp reads what the collection holds: as history the first time, later
// what came after the last document seen. It reports whether the cursor can be
// followed further.
func (f *capped) catchUp(ctx context.Context, cursor *mongo.Cursor, sink Sink) (alive bool, err error) {
	var docs []logged
	var at change.Position       // as computed from the start of the collection
	var complete change.Position // since when nothing has rolled off, as far as can be told
	since := change.PositionAt(time.Now().Add(-f.cfg.replay()))
	found := f.id.Type == 0
	alive = true
	for alive {
		more, err := next(ctx, cursor, awaitHistory)
		if err != nil {
			return false, err
		}
		if !more {
			alive = cursor.ID() != 0
			break
		}
		at = after(at, cursor.Current)
		if complete == 0 {
			// The positions within the first second may count documents
			// that are gone.
			complete = change.NewPosition(at.Seconds()+1, 0)
		}
		id := cursor.Current.Lookup("_id")
		switch {
		case f.opened && !found && same(id, f.id):
			found, docs = true, docs[:0]
		case !f.opened && at < since:
			complete = at + 1 // history that is not wanted
		default:
			docs = append(docs, logged{slices.Clone(cursor.Current), at})
		}
		if !f.opened {
			f.id = clone(id)
		}
	}

	switch {
	case !f.opened:
		f.open(docs, complete, at, sink)
	case !found:
		if err := f.exists(ctx); err != nil {
			return false, err
		}
		f.logger.Warn("the capped collection has rolled over or was dropped, taking everything as changed", "collection", schema.Events)
		f.metrics.holes.Inc()
		f.at++
		f.from, f.id = f.at, bson.RawValue{}
		sink.Opened(f.from, f.at)
		fallthrough
	default:
		for _, l := range docs {
			f.pass(l.doc, sink)
		}
	}
	f.settle(sink)
	return alive, nil
}

// open passes on history. Its positions are those that the documents had in
// the process that saw them first.
func (f *capped) open(history []logged, complete, last change.Position, sink Sink) {
	f.opened = true
	if last == 0 { // empty: who comes with a position comes from elsewhere
		last = change.PositionAt(time.Now())
		complete = last
	}
	f.at = last
	f.from = min(complete, last)
	sink.Opened(f.from, last)
	for _, l := range history {
		f.deliver(l.doc, l.at, sink)
	}
}

// settle says how far everything was passed on.
func (f *capped) settle(sink Sink) {
	f.metrics.hear(time.Now(), 0)
	sink.Reached(f.at)
}

// pass passes on a document that is new.
func (f *capped) pass(doc bson.Raw, sink Sink) {
	f.at = after(f.at, doc)
	f.id = clone(doc.Lookup("_id"))
	f.deliver(doc, f.at, sink)
}

func (f *capped) deliver(doc bson.Raw, at change.Position, sink Sink) {
	if name, _ := doc.Lookup("name").StringValueOK(); name == schema.Changed {
		if h, ok := f.reader.notification(doc, at); ok {
			f.metrics.hints.Inc()
			sink.Hint(h)
		}
		return
	}
	if m, ok := f.reader.message(doc, at); ok {
		f.metrics.messages.Inc()
		sink.Message(m)
	}
}

// after is the position of a document that comes after another.
func after(last change.Position, doc bson.Raw) change.Position {
	var p change.Position
	if id, ok := doc.Lookup("_id").ObjectIDOK(); ok {
		p = change.PositionAt(id.Timestamp())
	} else if created, ok := doc.Lookup("created_at").TimeOK(); ok && created.Unix() > 0 {
		p = change.PositionAt(created)
	}
	return max(p, last+1)
}

// exists explains a collection that is not there, or not capped.
func (f *capped) exists(ctx context.Context) error {
	specs, err := f.cfg.Client.Database(f.cfg.Database).ListCollectionSpecifications(ctx, bson.D{{Key: "name", Value: schema.Events}})
	if err != nil {
		return err
	}
	hint := fmt.Sprintf(`make it with "statustail init --capped", or by hand: db.createCollection(%q, {capped: true, size: 67108864})`, schema.Events)
	if len(specs) == 0 {
		return fmt.Errorf("the collection %s.%s does not exist: %s", f.cfg.Database, schema.Events, hint)
	}
	if capped, _ := specs[0].Options.Lookup("capped").BooleanOK(); !capped {
		return fmt.Errorf("the collection %s.%s is not capped, so it cannot be tailed: rename or drop it, then %s", f.cfg.Database, schema.Events, hint)
	}
	return nil
}

// notCapped replaces the server's refusal by an explanation, if it is that.
func (f *capped) notCapped(ctx context.Context, err error) error {
	var refused mongo.CommandError
	if !errors.As(err, &refused) || unauthorized(err) || cursorDied(err) {
		return err
	}
	if why := f.exists(ctx); why != nil {
		return why
	}
	return err
}

func same(a, b bson.RawValue) bool { return a.Type == b.Type && bytes.Equal(a.Value, b.Value) }

func clone(v bson.RawValue) bson.RawValue {
	return bson.RawValue{Type: v.Type, Value: bytes.Clone(v.Value)}
}
