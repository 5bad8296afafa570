package tail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"statustail/stream/change"
	"statustail/stream/mongodb"
	"statustail/stream/schema"
)

const (
	// openWithin bounds one opening of a stream: the server looks through its
	// oplog for the place to begin.
	openWithin = 60 * time.Second
	// awaitFor is how long the server waits for a change before it answers
	// that there is none: how often a quiet stream costs a command, and how
	// old its position may be. A reader that comes from another server is kept
	// waiting for it for no more than a second.
	awaitFor = 500 * time.Millisecond
	// awaitHistory is that while history is read, so that its end is known
	// soon although nothing happens.
	awaitHistory = 200 * time.Millisecond
	// answerWithin is how much longer than it was told the server may take
	// before the connection counts as dead.
	answerWithin = 10 * time.Second
	// behindAtMost is by how many seconds the database may be behind what was
	// reached and still be the same one.
	behindAtMost = 10
	// maxRefusals is how often a server may refuse a token, for whatever
	// reason, or not get to its place in time, before it is given up.
	maxRefusals = 5
)

// changeStream follows a change stream on the database, one for the whole
// process. All that it keeps is in memory: the token where the stream goes on.
type changeStream struct {
	cfg     Config
	logger  *slog.Logger
	metrics *metrics
	reader  *reader

	// token is where to go on, nil for a new beginning; invalidated says
	// that it belongs to an invalidate, which only startAfter accepts.
	token       bson.Raw
	invalidated bool
	refusals    int
	openWithin  time.Duration

	opened bool            // the sink was told
	dirty  bool            // the sink has to be told again, once the stream is open
	from   change.Position // since when everything was passed on
	now    change.Position // where the database was when history began
	last   change.Position // what was reached
}

// NewChangeStream follows the database by a change stream: on replica sets,
// sharded clusters and Atlas. The user needs the privilege actions changeStream
// and find on the database. Positions are cluster times.
func NewChangeStream(cfg Config) Follower {
	m := newMetrics(cfg.Registerer)
	return &changeStream{cfg: cfg, logger: cfg.logger(), metrics: m, reader: newReader(cfg, m), openWithin: openWithin}
}

// ErrNoChangeStreams is for a server that has none, now and later.
var ErrNoChangeStreams = errors.New("this MongoDB server has no change streams: they need a replica set (one member is enough: mongod --replSet rs0, then rs.initiate()), or use --source capped")

// errSlow is for a stream that could not be opened in time.
var errSlow = errors.New("the server did not find the place in its oplog in time")

// errReopen asks for the stream to be opened anew at the token, for no fault.
var errReopen = errors.New("reopen")

func (f *changeStream) Follow(ctx context.Context, sink Sink) error {
	out := &outage{log: f.logger, metrics: f.metrics, sink: sink}
	for {
		err := f.stream(ctx, sink, out)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errReopen):
			continue
		case errors.Is(err, errForeignToken):
			return err
		case unsupported(err):
			return fmt.Errorf("%w (%w)", ErrNoChangeStreams, err)
		case f.token != nil && historyLost(err), f.token != nil && f.refusals >= maxRefusals:
			f.logger.Warn("the change stream cannot go on where it was, taking everything as changed", "error", err)
			f.metrics.holes.Inc()
			f.token, f.invalidated, f.refusals = nil, false, 0
			f.metrics.reconnects.Inc()
			if err := pause(ctx, firstPause); err != nil {
				return err
			}
			continue
		}
		if err := out.failed(ctx, explain(err, f.cfg.Database)); err != nil {
			return err
		}
	}
}

// stream opens the stream and passes on what comes, until it ends.
func (f *changeStream) stream(ctx context.Context, sink Sink, out *outage) error {
	session, err := f.cfg.Client.StartSession(options.Session().SetCausalConsistency(false))
	if err != nil {
		return err
	}
	defer session.EndSession(context.WithoutCancel(ctx))
	ctx = mongo.NewSessionContext(ctx, session)

	history := f.token != nil && f.last < f.now
	stream, err := f.open(ctx, session, &history)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		stream.Close(closing)
	}()
	f.refusals = 0
	out.over()
	if !f.opened || f.dirty {
		sink.Opened(f.from, f.now)
		f.opened, f.dirty = true, false
	}
	if stream.RemainingBatchLength() == 0 {
		if err := f.settle(stream, session, sink); err != nil {
			return err
		}
	}

	wait := awaitFor
	if history {
		wait = awaitHistory
	}
	for {
		next, cancel := context.WithTimeout(ctx, wait+answerWithin)
		more := stream.TryNext(next)
		cancel()
		if err := stream.Err(); err != nil {
			return err
		}
		out.over()
		if more {
			f.event(stream.Current, sink)
		}
		// The last event of a batch stands for the whole batch.
		if stream.RemainingBatchLength() == 0 {
			if err := f.settle(stream, session, sink); err != nil {
				return err
			}
		}
		switch {
		case f.invalidated:
			return errReopen // the cursor is dead; what comes after it is found with startAfter
		case stream.ID() == 0 && stream.RemainingBatchLength() == 0:
			return errors.New("the server closed the change stream")
		case history && f.last >= f.now:
			return errReopen // with the longer wait
		}
	}
}

// open opens the stream where it has to go on. A beginning tries to include
// the history that is wanted, and says in history whether it does.
func (f *changeStream) open(ctx context.Context, session *mongo.Session, history *bool) (*mongo.ChangeStream, error) {
	now, err := f.clusterTime(ctx, session)
	if err != nil {
		return nil, err
	}
	if uint64(now.Seconds())+behindAtMost < uint64(f.last.Seconds()) {
		// A restored backup, or a new set: the stream would be silent until
		// its clock gets there.
		f.logger.Warn("the database's clock has gone back, taking everything as changed", "was", f.last, "is", now)
		f.metrics.holes.Inc()
		f.token, f.invalidated, f.refusals, f.last = nil, false, 0, 0
	}
	if f.token != nil {
		opts := f.options(*history)
		if f.invalidated {
			opts.SetStartAfter(f.token)
		} else {
			opts.SetResumeAfter(f.token)
		}
		stream, err := f.watch(ctx, opts)
		var refused mongo.CommandError
		if errors.Is(err, errSlow) || errors.As(err, &refused) && !refused.HasErrorLabel("NetworkError") && !unauthorized(err) && !mongodb.IsPassing(err) {
			f.refusals++
		}
		if err == nil {
			f.invalidated = false
		}
		return stream, err
	}

	stream, begin, err := f.begin(ctx, now)
	if err != nil {
		return nil, err
	}
	*history = begin < now
	f.dirty = f.opened
	f.from, f.now = begin, now
	if f.last > f.from { // never promise what was reached already as new
		f.from, f.now = f.last, max(f.now, f.last)
	}
	f.token = stream.ResumeToken()
	return stream, nil
}

// begin opens a stream without a token: for the first time as far back as the
// replay window, or, where the oplog is shorter than that or takes too long to
// be searched, as much of it as halving the window finds; after that at now.
func (f *changeStream) begin(ctx context.Context, now change.Position) (*mongo.ChangeStream, change.Position, error) {
	window := f.cfg.replay()
	for ; !f.opened && window >= time.Second; window /= 2 {
		back := change.NewPosition(uint32(window/time.Second), 0)
		if back >= now {
			continue
		}
		stream, err := f.watch(ctx, f.options(true).SetStartAtOperationTime(timestamp(now-back)))
		if err == nil || !historyLost(err) && !errors.Is(err, errSlow) {
			return stream, now - back, err
		}
		if window == f.cfg.replay() {
			f.logger.Info("the replay window cannot be had; beginning with as much of it as can", "window", window, "error", err)
		}
	}
	stream, err := f.watch(ctx, f.options(false).SetStartAtOperationTime(timestamp(now)))
	return stream, now, err
}

func (f *changeStream) watch(ctx context.Context, opts *options.ChangeStreamOptionsBuilder) (*mongo.ChangeStream, error) {
	db := f.cfg.Client.Database(f.cfg.Database, options.Database().
		SetReadPreference(readpref.Primary()).SetReadConcern(readconcern.Majority()))
	opening, cancel := context.WithTimeout(ctx, f.openWithin)
	defer cancel()
	stream, err := db.Watch(opening, pipeline(), opts)
	if err != nil && opening.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w (%w)", errSlow, err)
	}
	return stream, err
}

func (f *changeStream) options(history bool) *options.ChangeStreamOptionsBuilder {
	opts := options.ChangeStream().SetFullDocument(options.UpdateLookup)
	if history {
		return opts.SetMaxAwaitTime(awaitHistory)
	}
	return opts.SetMaxAwaitTime(awaitFor)
}

// clusterTime asks the deployment where it is.
func (f *changeStream) clusterTime(ctx context.Context, session *mongo.Session) (change.Position, error) {
	reply, err := f.cfg.Client.Database("admin").RunCommand(ctx, bson.D{{Key: "ping", Value: 1}},
		options.RunCmd().SetReadPreference(readpref.Primary())).Raw()
	if err != nil {
		return 0, err
	}
	if t := session.OperationTime(); t != nil {
		return change.NewPosition(t.T, t.I), nil
	}
	if t, i, ok := reply.Lookup("operationTime").TimestampOK(); ok {
		return change.NewPosition(t, i), nil
	}
	return 0, errStandalone
}

// errStandalone is for a server that keeps no cluster time.
var errStandalone = errors.New("the server answers without an operationTime")

// event passes on one change.
func (f *changeStream) event(event bson.Raw, sink Sink) {
	seconds, increment, _ := event.Lookup("clusterTime").TimestampOK()
	at := max(change.NewPosition(seconds, increment), f.last)
	operation, _ := event.Lookup("operationType").StringValueOK()
	collection, _ := event.Lookup("ns", "coll").StringValueOK()
	switch operation {
	case "insert", "update", "replace", "delete":
		switch {
		case watched(collection):
			f.metrics.hints.Inc()
			h := hint(collection, event.Lookup("documentKey", "_id"), event.Lookup("fullDocument", "page"), at)
			if collection == schema.Pages {
				h.Touched = touched(event)
			}
			sink.Hint(h)
		case collection == schema.Events && operation == "insert":
			doc, _ := event.Lookup("fullDocument").DocumentOK()
			if m, ok := f.reader.message(doc, at); ok {
				f.metrics.messages.Inc()
				sink.Message(m)
			}
		}
	case "drop", "rename", "dropDatabase":
		// The stream goes on over these, so it is open, and nothing of the
		// log of messages is missing; but the documents are gone.
		f.logger.Warn("a collection or the database was dropped or renamed, taking everything as changed",
			"operation", operation, "database", f.cfg.Database, "collection", collection)
		f.metrics.holes.Inc()
		f.now = max(f.now, at)
		renamed, _ := event.Lookup("to", "coll").StringValueOK()
		if collection == change.Pages || renamed == change.Pages || operation == "dropDatabase" {
			f.from = f.now // what was said on pages that are gone is not for those that come
		}
		f.dirty = operation == "dropDatabase" // an invalidate follows
		if !f.dirty {
			sink.Opened(f.from, f.now)
		}
	case "invalidate":
		f.invalidated, f.dirty = true, true
		f.now = max(f.now, at)
	}
}

// settle notes where the stream stands at the end of a batch.
func (f *changeStream) settle(stream *mongo.ChangeStream, session *mongo.Session, sink Sink) error {
	token := stream.ResumeToken()
	if token == nil {
		return nil
	}
	reached := tokenPosition(token)
	if reached == 0 {
		return errForeignToken
	}
	f.token = token
	f.last = max(f.last, reached)
	f.metrics.hear(time.Now(), f.behind(session))
	if f.opened && !f.dirty {
		sink.Reached(f.last)
	}
	return nil
}

// behind is how far the stream is behind the deployment, whose newest cluster
// time comes with every reply. A stream that is open and silent while others
// write shows here.
func (f *changeStream) behind(session *mongo.Session) time.Duration {
	seconds, _, ok := session.ClusterTime().Lookup("$clusterTime", "clusterTime").TimestampOK()
	if !ok || f.last == 0 {
		return 0
	}
	return time.Duration(int64(seconds)-int64(f.last.Seconds())) * time.Second
}

func timestamp(p change.Position) *bson.Timestamp {
	return &bson.Timestamp{T: p.Seconds(), I: p.Increment()}
}
