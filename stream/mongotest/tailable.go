package mongotest

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A tailable is a tailable cursor on a capped collection. The database behind
// has them too, but hands out documents twice when a wait ends early.
type tailable struct {
	db, collection string
	await          bool
	last           bson.RawValue // _id of the last document given out
}

// find opens a tailable cursor, or forwards any other query.
func (s *Server) find(c *conn, cmd command) (bson.D, bool) {
	if on, _ := cmd.get("tailable").BooleanOK(); !on {
		return s.read(c, cmd)
	}
	t := &tailable{db: cmd.db}
	t.collection, _ = cmd.get("find").StringValueOK()
	t.await, _ = cmd.get("awaitData").BooleanOK()
	specs, err := s.backend.Database(t.db).ListCollectionSpecifications(s.ctx, bson.D{{Key: "name", Value: t.collection}})
	if err != nil {
		return nil, true
	}
	if len(specs) > 0 {
		if capped, _ := specs[0].Options.Lookup("capped").BooleanOK(); !capped {
			return failure(2, "BadValue", fmt.Sprintf("error processing query: ns=%s.%s tailable cursor requested on non capped collection", t.db, t.collection)), false
		}
	}
	batch, _, err := s.newer(t)
	if err != nil {
		return nil, true
	}
	var id int64
	if len(batch) > 0 { // on an empty collection it is dead at once
		s.mu.Lock()
		s.lastID++
		id = s.lastID
		s.tailables[id] = t
		s.mu.Unlock()
	}
	return tailed(t, "firstBatch", batch, id), false
}

func tailed(t *tailable, name string, batch bson.A, id int64) bson.D {
	return append(bson.D{{Key: "cursor", Value: bson.D{
		{Key: name, Value: batch}, {Key: "id", Value: id}, {Key: "ns", Value: t.db + "." + t.collection},
	}}}, ok()...)
}

// newer is what came after the last document; found is false when that is
// gone.
func (s *Server) newer(t *tailable) (batch bson.A, found bool, err error) {
	cursor, err := s.backend.Database(t.db).Collection(t.collection).Find(s.ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "$natural", Value: 1}}))
	if err != nil {
		return nil, false, err
	}
	defer cursor.Close(s.ctx)
	batch = bson.A{}
	found = t.last.Type == 0
	last := t.last
	for cursor.Next(s.ctx) {
		id := cursor.Current.Lookup("_id")
		if found {
			batch = append(batch, append(bson.Raw(nil), cursor.Current...))
			last = bson.RawValue{Type: id.Type, Value: append([]byte(nil), id.Value...)}
		}
		found = found || id.Equal(t.last)
	}
	if found {
		t.last = last
	}
	return batch, found, cursor.Err()
}

// getMoreTailed answers a getMore of a tailable cursor.
func (s *Server) getMoreTailed(conn *conn, cmd command, id int64) (bson.D, bool) {
	wait := time.Second
	if ms, ok := cmd.get("maxTimeMS").AsInt64OK(); ok {
		wait = time.Duration(ms) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(conn.ctx, wait)
	defer cancel()
	for {
		s.mu.Lock()
		t, changed := s.tailables[id], s.changed
		s.mu.Unlock()
		if t == nil {
			return failure(43, "CursorNotFound", fmt.Sprintf("cursor id %d not found", id)), false
		}
		batch, found, err := s.newer(t)
		if err != nil || !found {
			s.mu.Lock()
			delete(s.tailables, id)
			s.mu.Unlock()
			names, err := s.backend.Database(t.db).ListCollectionNames(s.ctx, bson.D{{Key: "name", Value: t.collection}})
			if err == nil && len(names) == 0 {
				return failure(175, "QueryPlanKilled", "collection dropped"), false
			}
			return failure(136, "CappedPositionLost", "CollectionScan died due to failure to restore tailable cursor position."), false
		}
		if len(batch) > 0 || !t.await || ctx.Err() != nil {
			return tailed(t, "nextBatch", batch, id), conn.ctx.Err() != nil
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// RollOver forgets the oldest documents of a capped collection, all but keep,
// as inserts beyond its size do.
func (s *Server) RollOver(db, collection string, keep int) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	events := s.backend.Database(db).Collection(collection)
	var docs []bson.Raw
	cursor, err := events.Find(s.ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "$natural", Value: 1}}))
	if err == nil {
		err = cursor.All(s.ctx, &docs)
	}
	if err != nil {
		return err
	}
	for _, doc := range docs[:max(len(docs)-keep, 0)] {
		if _, err := events.DeleteOne(s.ctx, bson.D{{Key: "_id", Value: doc.Lookup("_id")}}); err != nil {
			return err
		}
	}
	if _, err := s.effects.read(s.ctx, s.db, s.backend); err != nil { // a roll-over is no change
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notify()
	return nil
}
