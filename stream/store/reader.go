package store

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/change"
)

// A reader is a run of reads that never goes back in time.
type reader struct {
	// ctx carries the session; every read of the run uses it.
	ctx     context.Context
	session *mongo.Session // nil where the server has no cluster time
	store   *Store
}

// reader begins a run of reads that shows everything up to after.
func (s *Store) reader(ctx context.Context, after change.Position) (*reader, error) {
	d, err := s.detect(ctx)
	if err != nil {
		return nil, err
	}
	r := &reader{ctx: ctx, store: s}
	if !d.clustered {
		return r, nil
	}
	r.session, err = s.db.Client().StartSession(options.Session().SetCausalConsistency(true))
	if err != nil {
		return nil, fmt.Errorf("start a session: %w", err)
	}
	// The driver sends the session's operation time as afterClusterTime with
	// every read, and moves it on with every reply.
	if after != 0 {
		ts := bson.Timestamp{T: after.Seconds(), I: after.Increment()}
		if err := r.session.AdvanceOperationTime(&ts); err != nil {
			r.close()
			return nil, fmt.Errorf("advance a session to %v: %w", after, err)
		}
	}
	r.ctx = mongo.NewSessionContext(ctx, r.session)
	return r, nil
}

// at is an upper bound of what the reads have shown.
func (r *reader) at() change.Position {
	if r.session != nil {
		if ts := r.session.OperationTime(); ts != nil {
			return change.NewPosition(ts.T, ts.I)
		}
	}
	return change.NewPosition(uint32(r.store.now().Unix())+1, 0)
}

func (r *reader) close() {
	if r.session != nil {
		r.session.EndSession(context.WithoutCancel(r.ctx))
	}
}
