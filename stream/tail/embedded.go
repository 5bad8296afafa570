package tail

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
)

// A Log is what the follower of the embedded database needs of it besides a
// connection.
type Log interface {
	// Wrote returns a channel that gets a value whenever something was
	// committed since the last one was taken, until ctx is done.
	Wrote(ctx context.Context) <-chan struct{}
	// Trim deletes the entries with these ids from the log of writes.
	Trim(ctx context.Context, ids []bson.ObjectID) error
}

const (
	// keep is how many entries that were read stay in the log, as history
	// for a restart. Each costs every look about 0.2 ms.
	keep = 64
	// trimAt is the length at which the log is trimmed.
	trimAt = 2 * keep
	// lookAtLeast is how often the log is read without a sign, as a sign of
	// life.
	lookAtLeast = 20 * time.Second
	// pollEvery is how often it is read where there are no signs.
	pollEvery = 500 * time.Millisecond
	// late is by how much an entry may have been committed after entries
	// with a later timestamp. Only the first positions after a restart
	// depend on it, see open.
	late = 2 // seconds
)

// embedded follows the log of writes of the embedded database.
//
// The log's order is not the order in which its entries are committed: their
// ids and timestamps are given out before. A cursor that only moves on misses
// entries. So the log is kept short and, after each sign of a write, read
// whole; what was not there the last time is new.
type embedded struct {
	cfg     Config
	log     Log
	logger  *slog.Logger
	metrics *metrics
	reader  *reader

	opened bool
	// from is what the sink was told: the log is complete since then.
	from change.Position
	// last is the newest position that was passed on. Entries that turn up
	// late get a position after it, so that positions never run backwards.
	last change.Position
	// seen holds the entries that were in the log at the last look.
	seen map[bson.ObjectID]struct{}
	// shape is which collections there were at the last look.
	shape       shape
	trimFailing bool
}

// NewEmbedded follows the log of writes of a FerretDB database, the embedded
// one. Log is nil for one that belongs to another process: then it is polled,
// and never trimmed.
//
// Positions are timestamps of the log. One that arrives out of order counts as
// one of the present, so "at or below p was passed on" holds in this process;
// after a restart history is taken for a little newer than it is, so that a
// reader who resumes may get a message twice but misses none.
func NewEmbedded(cfg Config, log Log) Follower {
	m := newMetrics(cfg.Registerer)
	return &embedded{
		cfg: cfg, log: log, logger: cfg.logger(), metrics: m, reader: newReader(cfg, m),
		seen: make(map[bson.ObjectID]struct{}),
	}
}

func (f *embedded) Follow(ctx context.Context, sink Sink) error {
	var wrote <-chan struct{}
	idle := pollEvery
	if f.log != nil {
		wrote, idle = f.log.Wrote(ctx), lookAtLeast
	}
	out := &outage{log: f.logger, metrics: f.metrics, sink: sink}
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		began := time.Now()
		if err := f.look(ctx, sink); err != nil {
			if err := out.failed(ctx, err); err != nil {
				return err
			}
			continue
		}
		out.over()
		// Half of the time at most is spent on looking: the writers need
		// the processor too, and many writes are read at once.
		if err := pause(ctx, time.Since(began)); err != nil {
			return err
		}
		timer.Reset(idle)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wrote:
		case <-timer.C:
		}
	}
}

// An entry is what the log says of one write.
type entry struct {
	id bson.ObjectID
	ts change.Position
	// raw is the entry itself.
	raw bson.Raw
}

// look reads the log and passes on what is new in it.
func (f *embedded) look(ctx context.Context, sink Sink) error {
	now, err := readShape(ctx, f.cfg.Client, f.cfg.Database)
	if err != nil {
		return fmt.Errorf("list the collections of %s: %w", f.cfg.Database, err)
	}
	if now.log == "" {
		if now.log, err = makeLog(ctx, f.cfg.Client); err != nil {
			return fmt.Errorf("make the log of writes %s.%s: %w", logDatabase, logCollection, err)
		}
	}
	fresh, ids, err := f.read(ctx)
	if err != nil {
		return fmt.Errorf("read the log of writes %s.%s: %w", logDatabase, logCollection, err)
	}

	before := f.shape
	f.shape = now
	switch {
	case !f.opened:
		f.open(fresh, sink)
	case before.log != now.log:
		f.logger.Warn("the log of writes was dropped, taking everything as changed")
		f.metrics.holes.Inc()
		f.from = max(f.last, change.PositionAt(time.Now()))
		f.last = f.from
		sink.Opened(f.from, f.from)
		f.pass(fresh, sink)
	case before.lost(now):
		f.logger.Warn("a collection was dropped or renamed, taking everything as changed", "database", f.cfg.Database)
		f.metrics.holes.Inc()
		f.pass(fresh, sink)
		sink.Opened(f.from, f.last)
	default:
		f.pass(fresh, sink)
	}
	sink.Reached(f.last)
	f.trim(ctx, ids)
	return nil
}

// open passes on what the log holds as history. The process that wrote it may
// have died between passing on a later entry and an earlier one that was
// committed late, so every entry counts as somewhat newer than it is.
func (f *embedded) open(history []entry, sink Sink) {
	f.opened = true
	now := change.PositionAt(time.Now())
	if n := len(history); n > 0 {
		now = max(history[n-1].ts+1, now)
	}
	begin := now
	if window := change.PositionAt(time.Now().Add(-f.cfg.replay())); len(history) > 0 {
		begin = max(window, history[0].ts)
	}
	shift := func(p change.Position) change.Position {
		return min(p+change.NewPosition(late, 0), now)
	}
	f.from, f.last = min(shift(begin), now-1), now
	sink.Opened(f.from, now)
	for _, e := range history {
		if e.ts >= begin {
			f.deliver(e, min(shift(e.ts), now-1), sink)
		}
	}
	f.metrics.hear(time.Now(), 0)
}

// pass passes on entries that were not in the log before.
func (f *embedded) pass(fresh []entry, sink Sink) {
	for _, e := range fresh {
		f.last = max(e.ts, f.last+1)
		f.deliver(e, f.last, sink)
	}
	behind := time.Duration(0)
	if len(fresh) > 0 {
		behind = time.Since(fresh[0].ts.Time()) - time.Second // a timestamp's second may not be over yet
	}
	f.metrics.hear(time.Now(), behind)
}

// read returns the entries of the followed database that were not there the
// last time, by timestamp, and the ids of all, oldest first.
func (f *embedded) read(ctx context.Context) (fresh []entry, ids []bson.ObjectID, err error) {
	cursor, err := f.cfg.Client.Database(logDatabase).Collection(logCollection).Find(ctx, bson.D{})
	if err != nil {
		return nil, nil, err
	}
	defer cursor.Close(ctx)
	now := make(map[bson.ObjectID]struct{}, len(f.seen))
	for cursor.Next(ctx) {
		id, ok := cursor.Current.Lookup("_id").ObjectIDOK()
		if !ok {
			continue // not FerretDB's
		}
		now[id] = struct{}{}
		ids = append(ids, id)
		if _, known := f.seen[id]; !known {
			seconds, increment, _ := cursor.Current.Lookup("ts").TimestampOK()
			fresh = append(fresh, entry{id, change.NewPosition(seconds, increment), slices.Clone(cursor.Current)})
		}
	}
	if err := cursor.Err(); err != nil {
		return nil, nil, err
	}
	f.seen = now
	slices.SortStableFunc(fresh, func(a, b entry) int { return cmp.Compare(a.ts, b.ts) })
	return fresh, ids, nil
}

// trim keeps the log short. Failing to is not an outage, only slower.
func (f *embedded) trim(ctx context.Context, ids []bson.ObjectID) {
	if f.log == nil || len(ids) <= trimAt {
		return
	}
	err := f.log.Trim(ctx, ids[:len(ids)-keep])
	if err != nil && ctx.Err() == nil && !f.trimFailing {
		f.logger.Warn("the log of writes grows", "error", err)
	}
	f.trimFailing = err != nil
}
