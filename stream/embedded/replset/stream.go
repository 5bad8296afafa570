package replset

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A stream is the cursor of a change stream. One command at a time uses it.
type stream struct {
	id       int64
	ns       string // as replies name it
	db, coll string // what is watched; an empty coll is the database, an empty db the deployment
	lookup   bool   // of updated documents
	stages   []stage
	place    int    // of the next entry to look at
	last     token  // the newest place that was told
	ending   *entry // the change after which only an invalidate comes
	ended    bool
	used     time.Time
	busy     sync.Mutex
}

const (
	// maxStreams is how many cursors are kept; the one unused for longest
	// makes room.
	maxStreams = 1000
	// maxBatch is how many events a batch has unless the client wants fewer.
	maxBatch = 1000
	// maxAwait bounds how long a getMore waits, whatever the client asks for:
	// a client that has gone is noticed only after it.
	maxAwait = time.Minute
	// defaultAwait is how long it waits unless the client says so.
	defaultAwait = time.Second
	// tickAfter is how many seconds a quiet clock stands still.
	tickAfter = 10
)

// cursors are the open change streams.
type cursors struct {
	mu   sync.Mutex
	open map[int64]*stream
}

func newCursors() *cursors { return &cursors{open: make(map[int64]*stream)} }

func (c *cursors) add(st *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= maxStreams {
		var oldest *stream
		for _, other := range c.open {
			if oldest == nil || other.used.Before(oldest.used) {
				oldest = other
			}
		}
		delete(c.open, oldest.id)
	}
	for st.id == 0 || c.open[st.id] != nil {
		st.id = rand.Int64()
	}
	st.used = time.Now()
	c.open[st.id] = st
}

func (c *cursors) get(id int64) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.open[id]
	if st != nil {
		st.used = time.Now()
	}
	return st
}

// remove reports whether the cursor was there.
func (c *cursors) remove(id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, found := c.open[id]
	delete(c.open, id)
	return found
}

func historyLost() *Error {
	return errorf(codeHistoryLost, "Resume of change stream was not possible, as the resume point may no longer be in the oplog.").labelled(nonResumable)
}

func notFound(id int64) *Error { return errorf(codeCursorNotFound, "cursor id %d not found", id) }

// watch opens a change stream.
func (s *Server) watch(_ context.Context, cmd *Command) (bson.D, error) {
	values, err := cmd.Get("pipeline").Array().Values()
	if err != nil {
		return nil, errorf(codeFailedToParse, "%v", err)
	}
	spec, _ := values[0].Document().Lookup("$changeStream").DocumentOK()
	st := &stream{db: cmd.DB, ns: cmd.DB + ".$cmd.aggregate"}
	if coll := cmd.text("aggregate"); coll != "" {
		st.coll, st.ns = coll, cmd.DB+"."+coll
	}
	if on, _ := spec.Lookup("allChangesForCluster").BooleanOK(); on {
		if cmd.DB != "admin" || st.coll != "" {
			return nil, errorf(codeInvalidOptions, "allChangesForCluster is for a change stream on the database admin")
		}
		st.db = ""
	}
	for _, v := range values[1:] {
		stage, err := parseStage(v.Document())
		if err != nil {
			return nil, err
		}
		st.stages = append(st.stages, stage)
	}
	if err := s.begin(st, spec); err != nil {
		return nil, err
	}
	batch, err := s.next(st, batchSize(cmd, "cursor", "batchSize"))
	if err != nil {
		return nil, err
	}
	if !st.ended {
		s.cursors.add(st)
	}
	return st.reply("firstBatch", batch), nil
}

// begin reads the options of $changeStream and finds the place that they ask
// for. A time or token that was never given out is taken for its time.
func (s *Server) begin(st *stream, spec bson.Raw) error {
	options, _ := spec.Elements()
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	st.last = token{at: bson.Timestamp{T: s.log.clock.T, I: s.log.clock.I + 1}}
	st.place = s.log.end()
	starts := 0
	for _, option := range options {
		v := option.Value()
		switch option.Key() {
		case "allChangesForCluster", "showExpandedEvents":
			continue
		case "fullDocument":
			switch how, _ := v.StringValueOK(); how {
			case "updateLookup":
				st.lookup = true
			case "default", "whenAvailable":
			default:
				return errorf(codeNotImplemented, "fullDocument %s: the embedded database keeps no images of documents; it knows default and updateLookup", v)
			}
			continue
		case "fullDocumentBeforeChange":
			if how, _ := v.StringValueOK(); how != "off" && how != "whenAvailable" {
				return errorf(codeNotImplemented, "fullDocumentBeforeChange %s: the embedded database keeps no images of documents", v)
			}
			continue
		case "startAtOperationTime":
			t, i, ok := v.TimestampOK()
			if !ok {
				return errorf(codeTypeMismatch, "startAtOperationTime: want a timestamp")
			}
			st.last = token{at: bson.Timestamp{T: t, I: i}}
		case "resumeAfter", "startAfter":
			doc, _ := v.DocumentOK()
			t, ok := parseToken(doc)
			if !ok {
				return errorf(codeFailedToParse, "resume token string was not a valid hex string")
			}
			if t.kind == invalidate && option.Key() == "resumeAfter" {
				return errorf(codeInvalidResumeToken, "Attempting to resume a change stream using 'resumeAfter' is not allowed from an invalidate notification.")
			}
			st.last = t
		default:
			return errorf(codeNotImplemented, "$changeStream: the embedded database knows no option %s", option.Key())
		}
		starts++
		if st.last.at.Before(s.log.floor) {
			return historyLost()
		}
		st.place = s.log.after(st.last)
	}
	if starts > 1 {
		return errorf(codeSeveralStarts, "Only one type of resume option is allowed, but multiple were found.")
	}
	return nil
}

// batchSize is how many documents a client wants at once, 0 if it does not
// say.
func batchSize(cmd *Command, path ...string) int {
	n, _ := cmd.Get(path...).AsInt64OK()
	return int(max(n, 0))
}

// getMore answers a getMore of a change stream: at once if there is something
// to tell, else when there is, or when the time is up.
func (s *Server) getMore(ctx context.Context, cmd *Command, st *stream) (bson.D, error) {
	st.busy.Lock()
	defer st.busy.Unlock()
	wait := defaultAwait
	if ms, ok := cmd.Get("maxTimeMS").AsInt64OK(); ok {
		wait = min(time.Duration(ms)*time.Millisecond, maxAwait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for waiting := true; ; {
		s.log.mu.Lock()
		changed := s.log.changed
		s.log.mu.Unlock()
		if s.cursors.get(st.id) == nil {
			return nil, notFound(st.id)
		}
		batch, err := s.next(st, batchSize(cmd, "batchSize"))
		if err != nil {
			s.cursors.remove(st.id)
			return nil, err
		}
		if st.ended {
			s.cursors.remove(st.id)
			st.id = 0
		}
		if len(batch) > 0 || !waiting {
			return st.reply("nextBatch", batch), nil
		}
		select {
		case <-ctx.Done():
			waiting = false
		case <-timer.C:
			waiting = false
			if err := s.log.tick(tickAfter); err != nil {
				s.cfg.Logger.Error("embedded database: the log of changes", "error", err)
			}
		case <-changed:
		}
	}
}

// next takes the next batch.
func (s *Server) next(st *stream, most int) (bson.A, error) {
	if most == 0 || most > maxBatch {
		most = maxBatch
	}
	batch, size := bson.A{}, 0
	for len(batch) < most && !st.ended {
		e, at := st.ending, token{}
		if e != nil {
			st.ended = true
			at = token{at: e.At, kind: invalidate, index: e.Index}
		} else {
			var err error
			if e, err = s.nextEntry(st); e == nil {
				return batch, err
			}
			at = e.token()
		}
		doc, err := s.transform(st, e, at)
		if err != nil {
			return nil, err
		}
		if size += len(doc); size > maxDocument && len(batch) > 0 { // the next batch begins with it
			st.place--
			return batch, nil
		}
		if doc != nil {
			batch = append(batch, doc)
			st.last = at
		}
		if at.kind == event && st.endsWith(e) {
			st.ending = e
		}
	}
	return batch, nil
}

// nextEntry is the next change that the stream watches, nil if there is none
// yet.
func (s *Server) nextEntry(st *stream) (*entry, error) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for {
		if st.place < s.log.first {
			return nil, historyLost()
		}
		if st.place >= s.log.end() {
			if now := (token{at: s.log.clock}); st.last.before(now) {
				st.last = now
			}
			return nil, nil
		}
		e := s.log.entries[st.place-s.log.first]
		st.place++
		if st.watches(&e) && st.last.before(e.token()) {
			return &e, nil
		}
	}
}

// watches reports whether a change is within what the stream is opened on.
func (st *stream) watches(e *entry) bool {
	switch {
	case st.db == "":
		return e.DB != "admin" && e.DB != "config" && e.DB != "local"
	case st.coll == "":
		return e.DB == st.db || e.ToDB == st.db
	}
	return e.DB == st.db && e.Coll == st.coll || e.ToDB == st.db && e.ToColl == st.coll
}

// endsWith reports whether what the stream is opened on is gone with a change
// that it watches.
func (st *stream) endsWith(e *entry) bool {
	switch e.Op {
	case opDropDatabase:
		return st.db != ""
	case opDrop, opRename:
		return st.coll != ""
	}
	return false
}

func (st *stream) reply(name string, batch bson.A) bson.D {
	return ok("cursor", d(name, batch, "postBatchResumeToken", st.last.bson(), "id", st.id, "ns", st.ns))
}

// transform is the change event of an entry after the stages of the pipeline,
// nil if one of them drops it.
func (s *Server) transform(st *stream, e *entry, at token) (bson.Raw, error) {
	fields := d("_id", at.bson(), "operationType", e.Op, "clusterTime", e.At, "wallTime", time.Unix(int64(e.At.T), 0))
	add := func(pairs ...any) { fields = append(fields, d(pairs...)...) }
	switch ns := d("db", e.DB, "coll", e.Coll); {
	case at.kind == invalidate:
		fields[1].Value = "invalidate"
	case e.Op == opDropDatabase:
		add("ns", ns[:1])
	case e.Op == opDrop:
		add("ns", ns)
	case e.Op == opRename:
		add("ns", ns, "to", d("db", e.ToDB, "coll", e.ToColl))
	default:
		if e.Op == opInsert || e.Op == opReplace {
			add("fullDocument", e.Doc)
		} else if e.Op == opUpdate && st.lookup { // a later read, as a mongod's
			now, err := s.find(s.ctx, e.DB, e.Coll, d("_id", e.ID))
			if err != nil {
				return nil, err
			}
			if now == nil {
				add("fullDocument", nil)
			} else {
				add("fullDocument", now)
			}
		}
		add("ns", ns, "documentKey", d("_id", e.ID))
		if e.Op == opUpdate {
			add("updateDescription", e.Doc)
		}
	}
	doc := encode(fields)
	for _, stage := range st.stages {
		var err error
		if doc, err = stage(doc); doc == nil || err != nil {
			return nil, err
		}
	}
	if id, _ := doc.Lookup("_id").DocumentOK(); string(id) != string(encode(at.bson())) {
		return nil, errorf(codeChangeStreamFatal, "Encountered an event whose _id field, which contains the resume token, was modified by the pipeline.").labelled(nonResumable)
	}
	if len(doc) > maxBody {
		return nil, errorf(codeObjectTooLarge, "a change event of %d bytes: at most %d fit; $project or $unset what is large", len(doc), maxBody).labelled(nonResumable)
	}
	return doc, nil
}
