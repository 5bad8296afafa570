package mongotest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/embedded/replset"
)

// A tailable is a tailable cursor on a capped collection. The embedded
// database has them too, but hands out documents twice when a wait ends early.
type tailable struct {
	db, collection string
	await          bool
	last           bson.RawValue // _id of the last document given out
}

func (s *Server) tailable(id int64) *tailable {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tailables[id]
}

// findTailable opens a tailable cursor.
func (s *Server) findTailable(ctx context.Context, cmd *replset.Command) (bson.D, error) {
	t := &tailable{db: cmd.DB}
	t.collection, _ = cmd.Get("find").StringValueOK()
	t.await, _ = cmd.Get("awaitData").BooleanOK()
	options, found, err := s.collection(ctx, t)
	if err != nil {
		return nil, err
	}
	if capped, _ := options.Lookup("capped").BooleanOK(); found && !capped {
		return nil, failure(2, "BadValue", fmt.Sprintf("error processing query: ns=%s.%s tailable cursor requested on non capped collection", t.db, t.collection))
	}
	batch, _, err := s.newer(ctx, t)
	if err != nil {
		return nil, err
	}
	var id int64
	if len(batch) > 0 { // on an empty collection it is dead at once
		s.mu.Lock()
		s.lastID++
		id = s.lastID
		s.tailables[id] = t
		s.mu.Unlock()
	}
	return t.reply("firstBatch", batch, id), nil
}

func (t *tailable) reply(name string, batch bson.A, id int64) bson.D {
	return bson.D{{Key: "cursor", Value: bson.D{
		{Key: name, Value: batch}, {Key: "id", Value: id}, {Key: "ns", Value: t.db + "." + t.collection},
	}}, {Key: "ok", Value: 1.0}}
}

// collection is the options of the cursor's collection.
func (s *Server) collection(ctx context.Context, t *tailable) (options bson.Raw, found bool, err error) {
	reply, err := s.Run(ctx, t.db, bson.D{{Key: "listCollections", Value: 1}, {Key: "filter", Value: bson.D{{Key: "name", Value: t.collection}}}})
	if err != nil {
		return nil, false, err
	}
	spec, err := reply.LookupErr("cursor", "firstBatch", "0")
	if err != nil {
		return nil, false, nil
	}
	options, _ = spec.Document().Lookup("options").DocumentOK()
	return options, true, nil
}

// documents are those of a collection, oldest first.
func (s *Server) documents(ctx context.Context, db, collection string) ([]bson.RawValue, error) {
	reply, err := s.Run(ctx, db, bson.D{{Key: "find", Value: collection}, {Key: "sort", Value: bson.D{{Key: "$natural", Value: 1}}}, {Key: "batchSize", Value: 1_000_000}})
	if err != nil {
		return nil, err
	}
	return reply.Lookup("cursor", "firstBatch").Array().Values()
}

// newer is what came after the last document; found is false when that is
// gone.
func (s *Server) newer(ctx context.Context, t *tailable) (batch bson.A, found bool, err error) {
	docs, err := s.documents(ctx, t.db, t.collection)
	batch, found = bson.A{}, t.last.Type == 0
	last := t.last
	for _, doc := range docs {
		id := doc.Document().Lookup("_id")
		if found {
			batch = append(batch, doc)
			last = id
		}
		found = found || id.Equal(t.last)
	}
	if found {
		t.last = last
	}
	return batch, found, err
}

// getMoreTailable answers a getMore of a tailable cursor.
func (s *Server) getMoreTailable(ctx context.Context, cmd *replset.Command, id int64) (bson.D, error) {
	wait := time.Second
	if ms, ok := cmd.Get("maxTimeMS").AsInt64OK(); ok {
		wait = time.Duration(ms) * time.Millisecond
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		s.mu.Lock()
		t, changed := s.tailables[id], s.changed
		s.mu.Unlock()
		if t == nil {
			return nil, failure(43, "CursorNotFound", fmt.Sprintf("cursor id %d not found", id))
		}
		batch, found, err := s.newer(ctx, t)
		if err != nil || !found {
			s.mu.Lock()
			delete(s.tailables, id)
			s.mu.Unlock()
			if _, there, err := s.collection(ctx, t); err == nil && !there {
				return nil, failure(175, "QueryPlanKilled", "collection dropped")
			}
			return nil, failure(136, "CappedPositionLost", "CollectionScan died due to failure to restore tailable cursor position.")
		}
		if len(batch) > 0 || !t.await || waiting.Err() != nil {
			return t.reply("nextBatch", batch, id), nil
		}
		select {
		case <-waiting.Done():
		case <-changed:
		}
	}
}

// RollOver forgets the oldest documents of a capped collection, all but keep,
// as inserts beyond its size do.
func (s *Server) RollOver(db, collection string, keep int) error {
	docs, err := s.documents(s.ctx, db, collection)
	for _, doc := range docs[:max(len(docs)-keep, 0)] {
		_, deleteErr := s.Run(s.ctx, db, bson.D{{Key: "delete", Value: collection}, {Key: "deletes", Value: bson.A{
			bson.D{{Key: "q", Value: bson.D{{Key: "_id", Value: doc.Document().Lookup("_id")}}}, {Key: "limit", Value: 1}},
		}}})
		err = errors.Join(err, deleteErr)
	}
	return err
}
