package mongotest

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A cursor is an open change stream on a database.
type cursor struct {
	id     int64
	db     string
	stages []bson.Raw // after $changeStream
	lookup bool
	place  int    // of the next entry to look at
	last   token  // the newest postBatchResumeToken
	dead   string // why it was killed
}

const nonResumable = "NonResumableChangeStreamError"

// watch opens a change stream.
func (s *Server) watch(cmd command) bson.D {
	if s.cfg.Standalone {
		return failure(40573, "Location40573", "The $changeStream stage is only supported on replica sets")
	}
	pipeline := cmd.get("pipeline").Array()
	values, err := pipeline.Values()
	if err != nil {
		return failure(9, "FailedToParse", err.Error())
	}
	spec := values[0].Document().Lookup("$changeStream").Document()
	c := &cursor{db: cmd.db, lookup: spec.Lookup("fullDocument").Type == bson.TypeString && spec.Lookup("fullDocument").StringValue() == "updateLookup"}
	for _, v := range values[1:] {
		c.stages = append(c.stages, v.Document())
	}

	s.mu.Lock()
	c.last = token{at: s.clock}
	c.place = s.log.end()
	if refused := s.begin(c, spec); refused != nil {
		s.mu.Unlock()
		return refused
	}
	s.lastID++
	c.id = s.lastID
	s.cursors[c.id] = c
	s.mu.Unlock()

	batch, err := s.next(c)
	if err != nil {
		return failure(2, "BadValue", err.Error())
	}
	return s.answer(c, "firstBatch", batch)
}

// begin sets the place that the options of $changeStream ask for, or says why
// not. The lock is held.
func (s *Server) begin(c *cursor, spec bson.Raw) bson.D {
	if t, i, ok := spec.Lookup("startAtOperationTime").TimestampOK(); ok {
		at := timestamp{t, i}
		if at.before(s.log.floor) {
			return failure(286, "ChangeStreamHistoryLost", "Resume of change stream was not possible, as the resume point may no longer be in the oplog.", nonResumable)
		}
		c.last = token{at: at}
		c.place = s.log.after(c.last)
		return nil
	}
	for _, name := range []string{"resumeAfter", "startAfter"} {
		doc, ok := spec.Lookup(name).DocumentOK()
		if !ok {
			continue
		}
		tok, ok := parseToken(doc)
		switch {
		case !ok:
			return failure(9, "FailedToParse", "resume token string was not a valid hex string")
		case tok.kind == invalidate && name == "resumeAfter":
			return failure(260, "InvalidResumeToken", "Attempting to resume a change stream using 'resumeAfter' is not allowed from an invalidate notification.")
		case s.faults.forgotten != (timestamp{}) && !s.faults.forgotten.before(tok.at):
			return failure(280, "ChangeStreamFatalError", "cannot resume stream; the resume token was not found. "+bson.Raw(doc).String(), nonResumable)
		case tok.at.before(s.log.floor):
			return failure(286, "ChangeStreamHistoryLost", "Resume of change stream was not possible, as the resume point may no longer be in the oplog.", nonResumable)
		}
		c.last = tok
		c.place = s.log.after(tok)
	}
	return nil
}

// owns reports whether a cursor is, or looks like, one of the proxy's own.
func (s *Server) owns(id int64) bool { return id > 1<<60 }

func notFound(id int64) bson.D {
	return failure(43, "CursorNotFound", fmt.Sprintf("cursor id %d not found", id), "ResumableChangeStreamError")
}

func (s *Server) getMore(conn *conn, cmd command) (reply bson.D, drop bool) {
	id := cmd.get("getMore").AsInt64()
	wait := time.Second
	if ms, ok := cmd.get("maxTimeMS").AsInt64OK(); ok {
		wait = time.Duration(ms) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(conn.ctx, wait)
	defer cancel()
	for {
		s.mu.Lock()
		c, changed, fault := s.cursors[id], s.changed, s.faults.interrupt()
		_, tailed := s.tailables[id]
		var dead string
		if c != nil && c.dead != "" {
			dead = c.dead
			delete(s.cursors, id)
		}
		s.mu.Unlock()
		switch {
		case fault != nil:
			return fault, false
		case tailed:
			return s.getMoreTailed(conn, cmd, id)
		case c == nil:
			return notFound(id), false
		}
		if dead != "" {
			return failure(286, "ChangeStreamHistoryLost", dead, nonResumable), false
		}
		batch, err := s.next(c)
		if err != nil {
			return failure(2, "BadValue", err.Error()), false
		}
		if len(batch) > 0 || ctx.Err() != nil {
			return s.answer(c, "nextBatch", batch), conn.ctx.Err() != nil
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// next takes the next batch. Only one command at a time uses a cursor.
func (s *Server) next(c *cursor) (bson.A, error) {
	batch := bson.A{}
	for {
		s.mu.Lock()
		most := 1000
		if s.faults.split {
			most = 1
		}
		if c.place < s.log.first {
			c.place = s.log.first // only after the history was lost, which is answered otherwise
		}
		if len(batch) >= most || c.place >= s.log.end() {
			if c.place >= s.log.end() {
				if now := (token{at: s.clock}); c.last.before(now) {
					c.last = now
				}
			}
			s.mu.Unlock()
			return batch, nil
		}
		e := s.log.at(c.place)
		c.place++
		s.mu.Unlock()

		if e.db != c.db && e.toDB != c.db || e.operation == "noop" {
			continue
		}
		doc, keep, err := transform(s.event(c, e), c.stages)
		if err != nil {
			return nil, err
		}
		if keep {
			batch = append(batch, doc)
			c.last = e.token()
		}
		if e.operation == "invalidate" {
			s.mu.Lock()
			delete(s.cursors, c.id)
			c.id = 0
			c.last = e.token()
			s.mu.Unlock()
			return batch, nil
		}
	}
}

// event is the change event of an entry, before the pipeline.
func (s *Server) event(c *cursor, e entry) bson.D {
	d := bson.D{
		{Key: "_id", Value: e.token().bson()}, {Key: "operationType", Value: e.operation},
		{Key: "clusterTime", Value: e.at.bson()}, {Key: "wallTime", Value: time.Unix(int64(e.at.t), 0)},
	}
	switch e.operation {
	case "insert", "replace":
		d = append(d, bson.E{Key: "fullDocument", Value: e.document})
	case "update":
		if c.lookup { // a later read, as on a real server
			var now any
			if raw, err := s.backend.Database(e.db).Collection(e.collection).FindOne(s.ctx, bson.D{{Key: "_id", Value: e.id}}).Raw(); err == nil {
				now = raw
			}
			d = append(d, bson.E{Key: "fullDocument", Value: now})
		}
	}
	switch e.operation {
	case "invalidate":
		return d
	case "dropDatabase":
		return append(d, bson.E{Key: "ns", Value: bson.D{{Key: "db", Value: e.db}}})
	}
	d = append(d, bson.E{Key: "ns", Value: bson.D{{Key: "db", Value: e.db}, {Key: "coll", Value: e.collection}}})
	switch e.operation {
	case "rename":
		d = append(d, bson.E{Key: "to", Value: bson.D{{Key: "db", Value: e.toDB}, {Key: "coll", Value: e.toCollection}}})
	case "insert", "update", "replace", "delete":
		d = append(d, bson.E{Key: "documentKey", Value: bson.D{{Key: "_id", Value: e.id}}})
	}
	if e.operation == "update" {
		d = append(d, bson.E{Key: "updateDescription", Value: bson.D{{Key: "updatedFields", Value: bson.D{}}, {Key: "removedFields", Value: bson.A{}}}})
	}
	return d
}

func (s *Server) answer(c *cursor, name string, batch bson.A) bson.D {
	return append(bson.D{{Key: "cursor", Value: bson.D{
		{Key: name, Value: batch}, {Key: "postBatchResumeToken", Value: c.last.bson()},
		{Key: "id", Value: c.id}, {Key: "ns", Value: c.db + ".$cmd.aggregate"},
	}}}, ok()...)
}

// killCursors kills those of the command that are the proxy's, and reports
// whether there were any.
func (s *Server) killCursors(cmd command) bool {
	ids, err := cmd.get("cursors").Array().Values()
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	any := false
	for _, v := range ids {
		if id := v.AsInt64(); s.owns(id) {
			any = true
			delete(s.cursors, id)
			delete(s.tailables, id)
		}
	}
	s.notify()
	return any
}

func killed(cmd command) bson.D {
	return append(bson.D{
		{Key: "cursorsKilled", Value: cmd.get("cursors")}, {Key: "cursorsNotFound", Value: bson.A{}},
		{Key: "cursorsAlive", Value: bson.A{}}, {Key: "cursorsUnknown", Value: bson.A{}},
	}, ok()...)
}

// Streams is how many change streams are open.
func (s *Server) Streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.cursors)
}
