package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"statustail/stream/change"
	"statustail/stream/mongodb"
)

const (
	// loadWithin bounds one load, and lookupWithin what a visitor waits for.
	loadWithin   = 20 * time.Second
	lookupWithin = 5 * time.Second
	// lagWithin is how long a secondary may take to get to the position that
	// it is read at. After that the primary is asked, which is there.
	lagWithin = time.Second
)

// A reader is a run of reads that never goes back in time: each shows
// everything up to a position, and what those before it have shown.
type reader struct {
	store *Store
	// ctx carries the session and the run's deadline.
	ctx     context.Context
	cancel  context.CancelFunc
	session *mongo.Session // nil where the server has no cluster time
	// waits: a read may be sent to a member that is not there yet.
	waits bool
}

// reader begins a run of reads that shows everything up to after.
func (s *Store) reader(ctx context.Context, within time.Duration, after change.Position) (*reader, error) {
	r := &reader{store: s}
	r.ctx, r.cancel = context.WithTimeout(ctx, within)
	deployment, err := s.detect(r.ctx)
	if err == nil && deployment.Clustered() {
		err = r.begin(after)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *reader) begin(after change.Position) (err error) {
	r.session, err = r.store.db.Client().StartSession(options.Session().SetCausalConsistency(true))
	if err != nil {
		return fmt.Errorf("start a session: %w", err)
	}
	r.ctx = mongo.NewSessionContext(r.ctx, r.session)
	r.waits = r.store.secondaries
	if after == 0 {
		return nil
	}
	// The driver sends the session's operation time as afterClusterTime with
	// every read, and moves it on with every reply.
	ts := bson.Timestamp{T: after.Seconds(), I: after.Increment()}
	if err := r.session.AdvanceOperationTime(&ts); err != nil {
		return fmt.Errorf("advance a session to %v: %w", after, err)
	}
	return nil
}

// find passes every document that a filter finds, as it is. The document is
// the callee's only until it returns.
func (r *reader) find(c *mongo.Collection, filter bson.D, opts *options.FindOptionsBuilder, do func(bson.Raw)) error {
	cursor, err := r.open(c, filter, opts)
	switch {
	case mongodb.IsAhead(err):
		return fmt.Errorf("%w (%w)", change.ErrAhead, err)
	case err != nil:
		return err
	}
	return drain(r.ctx, cursor, do)
}

func (r *reader) open(c *mongo.Collection, filter bson.D, opts *options.FindOptionsBuilder) (*mongo.Cursor, error) {
	if r.waits {
		ctx, cancel := context.WithTimeout(r.ctx, r.store.lagWithin)
		cursor, err := c.Find(ctx, filter, opts)
		cancel()
		if !tookTooLong(err) || r.ctx.Err() != nil {
			return cursor, err
		}
		r.waits = false
	}
	if r.store.secondaries && r.session != nil && !r.waits {
		c = c.Clone(options.Collection().SetReadPreference(readpref.Primary()))
	}
	return c.Find(r.ctx, filter, opts)
}

func tookTooLong(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || mongo.IsTimeout(err)
}

// at is the newest operation time of the reads, 0 where there is none.
func (r *reader) at() change.Position {
	if r.session != nil {
		if ts := r.session.OperationTime(); ts != nil {
			return change.NewPosition(ts.T, ts.I)
		}
	}
	return 0
}

func (r *reader) close() {
	if r.session != nil {
		r.session.EndSession(context.WithoutCancel(r.ctx))
	}
	r.cancel()
}

func drain(ctx context.Context, cursor *mongo.Cursor, do func(bson.Raw)) error {
	defer cursor.Close(ctx)
	for cursor.Next(ctx) {
		do(cursor.Current)
	}
	return cursor.Err()
}

// isAny matches a field that has one of the values. A single one is compared
// as it is: the embedded database looks up an _id by its index only then.
func isAny[T any](values []T) any {
	if len(values) == 1 {
		return values[0]
	}
	return bson.D{{Key: "$in", Value: values}}
}

// include projects a document to these fields and its _id.
func include(fields ...string) bson.D {
	projection := make(bson.D, 0, len(fields))
	for _, field := range fields {
		projection = append(projection, bson.E{Key: field, Value: 1})
	}
	return projection
}
