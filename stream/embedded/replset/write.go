package replset

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

const (
	// maxStatements is how many statements a command may have.
	maxStatements = 100_000
	// chunk is how many documents are inserted or deleted by one command of
	// the backend, which stops at the first error only within its own batches
	// of a hundred.
	chunk = 100
)

// lock waits for its turn to change something, for as long as the client
// wants to wait.
func (s *Server) lock(ctx context.Context, cmd *Command) error {
	var expired <-chan time.Time
	if ms, ok := cmd.Get("maxTimeMS").AsInt64OK(); ok && ms > 0 {
		timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case s.writing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-expired:
		return errorf(codeMaxTimeExpired, "operation exceeded time limit while others were writing")
	}
}

func (s *Server) unlock() { <-s.writing }

// A writer is one command that changes documents, while it has the lock.
type writer struct {
	*Server
	ctx      context.Context
	db, coll string
	session  *session
}

// write does an insert, update, delete or findAndModify, statement by
// statement. A client that goes away does not stop it halfway.
func (s *Server) write(ctx context.Context, cmd *Command) (bson.D, error) {
	coll, _ := cmd.Get(cmd.Name).StringValueOK()
	if coll == "" || cmd.DB == "" {
		return nil, errorf(73, "%s wants the name of a collection", cmd.Name)
	}
	if err := s.lock(ctx, cmd); err != nil {
		return nil, err
	}
	defer s.unlock()
	session, err := s.sessions.open(cmd)
	if err != nil {
		return nil, err
	}
	w := &writer{Server: s, ctx: context.WithoutCancel(ctx), db: cmd.DB, coll: coll, session: session}
	switch strings.ToLower(cmd.Name) {
	case "insert":
		return w.inserts(cmd)
	case "update":
		return w.statements(cmd, "updates", w.update)
	case "delete":
		return w.statements(cmd, "deletes", w.delete)
	}
	if o, known := session.recall(0); known {
		return o.reply, nil
	}
	o, err := w.findAndModify(cmd.Body)
	if err != nil {
		return nil, err
	}
	s.sessions.remember(session, 0, o)
	return o.reply, nil
}

// A tally is the reply to a command of several statements.
type tally struct {
	n, modified int32
	upserted    bson.A
	failed      bson.A
}

func (t *tally) add(i int, o outcome) {
	t.n += o.n
	t.modified += o.modified
	if o.upserted.Type != 0 {
		t.upserted = append(t.upserted, d("index", int32(i), "_id", o.upserted))
	}
}

// fail notes that a statement failed; what is no *Error fails the command.
func (t *tally) fail(i int, err error) error {
	refused := (*Error)(nil)
	if !errors.As(err, &refused) {
		return err
	}
	t.failed = append(t.failed, d("index", int32(i), "code", refused.Code, "errmsg", refused.Message))
	return nil
}

func (t *tally) reply(updates bool) bson.D {
	reply := d("n", t.n)
	if updates {
		reply = append(reply, bson.E{Key: "nModified", Value: t.modified})
	}
	if len(t.upserted) > 0 {
		reply = append(reply, bson.E{Key: "upserted", Value: t.upserted})
	}
	if len(t.failed) > 0 {
		reply = append(reply, bson.E{Key: "writeErrors", Value: t.failed})
	}
	return append(reply, ok()...)
}

func ordered(cmd *Command) bool {
	on, given := cmd.Get("ordered").BooleanOK()
	return on || !given
}

// statementID is how a retryable statement is known when it comes again.
func statementID(cmd *Command, i int) int32 {
	if first, ok := cmd.Get("stmtId").AsInt64OK(); ok {
		return int32(first) + int32(i)
	}
	if ids, ok := cmd.Get("stmtIds").ArrayOK(); ok {
		if v, err := ids.IndexErr(uint(i)); err == nil {
			n, _ := v.AsInt64OK()
			return int32(n)
		}
	}
	return int32(i)
}

func (w *writer) statements(cmd *Command, field string, do func(bson.Raw) (outcome, error)) (bson.D, error) {
	all, err := cmd.statements(field)
	if err != nil {
		return nil, err
	}
	var t tally
	for i, statement := range all {
		id := statementID(cmd, i)
		o, known := w.session.recall(id)
		if !known {
			multi, _ := statement.Lookup("multi").BooleanOK()
			if limit, isNumber := statement.Lookup("limit").AsInt64OK(); w.session != nil && (multi || isNumber && limit == 0) {
				err = errorf(codeInvalidOptions, "Cannot use (or request) retryable writes with multi=true")
			} else {
				o, err = do(statement)
			}
			if err != nil {
				t.add(i, o) // what was done before it failed
				if err := t.fail(i, err); err != nil {
					return nil, err
				}
				if ordered(cmd) {
					break
				}
				continue
			}
			w.sessions.remember(w.session, id, o)
		}
		t.add(i, o)
	}
	return t.reply(field == "updates"), nil
}

// inserts inserts documents, many at a time.
func (w *writer) inserts(cmd *Command) (bson.D, error) {
	docs, err := cmd.statements("documents")
	if err != nil {
		return nil, err
	}
	if err := w.ensure(w.ctx, w.db, w.coll); err != nil {
		return nil, err
	}
	var t tally
	for i := 0; i < len(docs); {
		var batch []bson.Raw
		var places []int
		for size := 0; i < len(docs) && len(batch) < chunk && size+len(docs[i]) <= maxDocument; i++ {
			if o, known := w.session.recall(statementID(cmd, i)); known {
				t.add(i, o)
				continue
			}
			size += len(docs[i])
			batch, places = append(batch, withID(docs[i])), append(places, i)
		}
		if len(batch) == 0 {
			continue
		}
		inserted, failures, err := w.insert(batch, ordered(cmd))
		for n, in := range inserted {
			if in {
				t.add(places[n], outcome{n: 1})
				w.sessions.remember(w.session, statementID(cmd, places[n]), outcome{n: 1})
			}
		}
		if err != nil {
			return nil, err
		}
		for _, f := range failures {
			if err := t.fail(places[f.index], f.err); err != nil {
				return nil, err
			}
		}
		if len(failures) > 0 && ordered(cmd) {
			break
		}
	}
	return t.reply(false), nil
}

// withID has a document begin with its _id, and gives it one if it has none.
func withID(doc bson.Raw) bson.Raw {
	if first, err := doc.IndexErr(0); err == nil && first.Key() == "_id" {
		return doc
	}
	var id any = bson.NewObjectID()
	fields := elements(doc)
	out := make(bson.D, 1, len(fields)+1)
	for _, f := range fields {
		if f.Key == "_id" {
			id = f.Value
		} else {
			out = append(out, f)
		}
	}
	out[0] = bson.E{Key: "_id", Value: id}
	return encode(out)
}

type failure struct {
	index int
	err   error
}

// insert inserts a batch, and says which of it is there and why the rest is
// not.
func (w *writer) insert(batch []bson.Raw, ordered bool) (inserted []bool, failures []failure, err error) {
	inserted = make([]bool, len(batch))
	intent := entry{Op: opInsert, DB: w.db, Coll: w.coll}
	for _, doc := range batch {
		intent.IDs = append(intent.IDs, doc.Lookup("_id"))
	}
	if err := w.log.intend(intent); err != nil {
		return inserted, nil, err
	}
	reply, err := w.backend.run(w.ctx, w.db, d("insert", w.coll, "documents", batch, "ordered", ordered))
	if err == nil {
		last := len(batch)
		errs, _ := reply.Lookup("writeErrors").ArrayOK()
		values, _ := errs.Values()
		for i := range inserted {
			inserted[i] = true
		}
		for _, v := range values {
			we := v.Document()
			index, _ := we.Lookup("index").AsInt64OK()
			code, _ := we.Lookup("code").AsInt64OK()
			message, _ := we.Lookup("errmsg").StringValueOK()
			failures = append(failures, failure{int(index), backendError(int32(code), message)})
			inserted[index] = false
			last = min(last, int(index))
		}
		if ordered {
			clear(inserted[last:])
		}
	} else { // it may have inserted some before it failed
		for i, doc := range batch {
			there, readErr := w.find(w.ctx, w.db, w.coll, d("_id", doc.Lookup("_id")))
			if readErr != nil {
				err = errors.Join(err, readErr)
				break
			}
			inserted[i] = there != nil && string(there) == string(doc)
		}
	}
	var entries []entry
	for i, doc := range batch {
		if inserted[i] {
			entries = append(entries, entry{Op: opInsert, DB: w.db, Coll: w.coll, ID: doc.Lookup("_id"), Doc: append(bson.Raw(nil), doc...)})
		}
	}
	w.record(entries...)
	return inserted, failures, err
}

// record adds to the log what has been done. What cannot be written to disk
// is in memory all the same, and a gap for whoever reads it after a restart.
func (w *writer) record(entries ...entry) {
	for i := range entries {
		entries[i].ID = bson.RawValue{Type: entries[i].ID.Type, Value: append([]byte(nil), entries[i].ID.Value...)}
	}
	if err := w.log.append(entries...); err != nil {
		w.cfg.Logger.Error("embedded database: "+err.Error()+"; changes since then will be missing for those who resume after a restart", "folder", w.cfg.Dir)
	}
}

// A modification is one update statement, or an update by findAndModify.
type modification struct {
	query  bson.Raw
	update bson.Raw
	upsert bool
}

// parseModification refuses what the backend would ignore or misunderstand.
func parseModification(statement bson.Raw, query, update string) (m modification, err error) {
	var isDoc bool
	m.query = queryOf(statement, query)
	v := statement.Lookup(update)
	if v.Type == bson.TypeArray {
		return m, errorf(codeNotImplemented, "the embedded database has no pipelines in updates")
	}
	if m.update, isDoc = v.DocumentOK(); !isDoc {
		return m, errorf(codeFailedToParse, "an update wants a document of operators or a document to replace with")
	}
	if filters, ok := statement.Lookup("arrayFilters").ArrayOK(); ok && len(filters) > 5 {
		return m, errorf(codeNotImplemented, "the embedded database has no arrayFilters")
	}
	if err := noCollation(statement); err != nil {
		return m, err
	}
	m.upsert, _ = statement.Lookup("upsert").BooleanOK()
	if m.replaces() {
		return m, nil
	}
	operators, _ := m.update.Elements()
	for _, op := range operators {
		fields, _ := op.Value().DocumentOK()
		paths, _ := fields.Elements()
		for _, path := range paths {
			if key := path.Key(); strings.Contains(key, ".$") || strings.HasPrefix(key, "$[") {
				return m, errorf(codeNotImplemented, "the embedded database has no positional operators in paths such as %s", clip(key))
			}
		}
	}
	return m, nil
}

func noCollation(statement bson.Raw) error {
	if doc, ok := statement.Lookup("collation").DocumentOK(); ok && len(doc) > 5 {
		return errorf(codeNotImplemented, "the embedded database has no collations")
	}
	return nil
}

func (m *modification) replaces() bool {
	first, err := m.update.IndexErr(0)
	return err != nil || !strings.HasPrefix(first.Key(), "$")
}

// apply does a modification to a document that was read under the lock, or
// inserts one if before is nil, and returns what is there afterwards.
func (w *writer) apply(m modification, before bson.Raw) (after bson.Raw, err error) {
	op, id := opUpdate, before.Lookup("_id")
	if m.replaces() {
		op = opReplace
	}
	intent := entry{Op: opUpdate, DB: w.db, Coll: w.coll}
	var query bson.Raw
	if before != nil {
		query = encode(d("_id", id))
		intent.IDs = []bson.RawValue{id}
	} else {
		if err := w.ensure(w.ctx, w.db, w.coll); err != nil {
			return nil, err
		}
		query = withEqualities(m.query)
	}
	update, err := rewrite(m.update, before)
	if err != nil {
		return nil, err
	}
	if err := w.log.intend(intent); err != nil {
		return nil, err
	}
	reply, err := w.backend.run(w.ctx, w.db, d("findAndModify", w.coll, "query", query, "update", update, "new", true, "upsert", before == nil))
	if err == nil {
		after, _ = reply.Lookup("value").DocumentOK()
	} else if before != nil { // it may have changed it before it failed
		var readErr error
		if after, readErr = w.find(w.ctx, w.db, w.coll, d("_id", id)); readErr != nil {
			after = before
			err = errors.Join(err, readErr)
		}
	}
	e := entry{Op: op, DB: w.db, Coll: w.coll, ID: after.Lookup("_id"), Doc: after}
	switch {
	case after == nil || string(after) == string(before):
		w.record()
		return after, err
	case before == nil:
		e.Op = opInsert
	case op == opUpdate:
		e.Doc = describe(before, after)
	}
	w.record(e)
	return after, err
}

// update does one statement of an update.
func (w *writer) update(statement bson.Raw) (o outcome, err error) {
	m, err := parseModification(statement, "q", "u")
	if err != nil {
		return o, err
	}
	multi, _ := statement.Lookup("multi").BooleanOK()
	if multi && m.replaces() {
		return o, errorf(codeFailedToParse, "multi update is not supported for replacement-style update")
	}
	change := func(before bson.Raw) error {
		after, err := w.apply(m, before)
		if err == nil || string(after) != string(before) {
			o.n++
			if string(after) != string(before) {
				o.modified++
			}
		}
		return err
	}
	if !multi {
		before, err := w.findFor(m.query, nil)
		if before != nil && err == nil {
			return o, change(before)
		}
		if err != nil || !m.upsert {
			return o, err
		}
	} else {
		ids, err := w.findIDs(w.ctx, w.db, w.coll, m.query)
		if err != nil {
			return o, err
		}
		for _, id := range ids {
			before, err := w.find(w.ctx, w.db, w.coll, d("_id", id))
			if err == nil && before != nil {
				err = change(before)
			}
			if err != nil {
				return o, err
			}
		}
		if len(ids) > 0 || !m.upsert {
			return o, nil
		}
	}
	after, err := w.apply(m, nil)
	if err != nil {
		return o, err
	}
	return outcome{n: 1, upserted: after.Lookup("_id")}, nil
}

// delete does one statement of a delete.
func (w *writer) delete(statement bson.Raw) (o outcome, err error) {
	if err := noCollation(statement); err != nil {
		return o, err
	}
	query := queryOf(statement, "q")
	var ids []bson.RawValue
	if limit, _ := statement.Lookup("limit").AsInt64OK(); limit == 1 {
		var doc bson.Raw
		if doc, err = w.findFor(query, nil); doc != nil {
			ids = append(ids, doc.Lookup("_id"))
		}
	} else {
		ids, err = w.findIDs(w.ctx, w.db, w.coll, query)
	}
	for len(ids) > 0 && err == nil {
		some := ids[:min(chunk, len(ids))]
		ids = ids[len(some):]
		var n int32
		n, err = w.remove(some)
		o.n += n
	}
	return o, err
}

// remove deletes documents, and counts those that are gone.
func (w *writer) remove(ids []bson.RawValue) (n int32, err error) {
	if err := w.log.intend(entry{Op: opDelete, DB: w.db, Coll: w.coll, IDs: ids}); err != nil {
		return 0, err
	}
	var q any = d("_id", ids[0])
	if len(ids) > 1 {
		q = d("_id", d("$in", ids))
	}
	_, err = w.backend.run(w.ctx, w.db, d("delete", w.coll, "deletes", bson.A{d("q", q, "limit", 0)}))
	var entries []entry
	for _, id := range ids {
		if err != nil { // it may have deleted some before it failed
			there, readErr := w.find(w.ctx, w.db, w.coll, d("_id", id))
			if readErr != nil || there != nil {
				continue
			}
		}
		entries = append(entries, entry{Op: opDelete, DB: w.db, Coll: w.coll, ID: id})
	}
	w.record(entries...)
	return int32(len(entries)), err
}

func (w *writer) findAndModify(cmd bson.Raw) (o outcome, err error) {
	query := queryOf(cmd, "query")
	fields, _ := cmd.Lookup("fields").DocumentOK()
	var show stage
	if len(fields) > 5 {
		if show, err = parseProject(fields); err != nil {
			return o, err
		}
	}
	if err := noCollation(cmd); err != nil {
		return o, err
	}
	sort, _ := cmd.Lookup("sort").DocumentOK()
	remove, _ := cmd.Lookup("remove").BooleanOK()
	var m modification
	if !remove {
		if m, err = parseModification(cmd, "query", "update"); err != nil {
			return o, err
		}
	}
	before, err := w.findFor(query, sort)
	if err != nil {
		return o, err
	}
	value, last := before, d("n", int32(1))
	switch wantNew, _ := cmd.Lookup("new").BooleanOK(); {
	case remove && before == nil:
		last = d("n", int32(0))
	case remove:
		_, err = w.remove([]bson.RawValue{before.Lookup("_id")})
	case before == nil && !m.upsert:
		last = d("n", int32(0), "updatedExisting", false)
	default:
		var after bson.Raw
		after, err = w.apply(m, before)
		last = append(last, d("updatedExisting", before != nil)...)
		if before == nil {
			last = append(last, d("upserted", after.Lookup("_id"))...)
		}
		if wantNew {
			value = after
		}
	}
	if err != nil {
		return o, err
	}
	if value != nil && show != nil {
		if value, err = show(value); err != nil {
			return o, err
		}
	}
	o.reply = ok("lastErrorObject", last, "value", nil)
	if value != nil {
		o.reply[1].Value = value
	}
	return o, nil
}

// findFor is the document that a statement is about, nil if there is none.
func (w *writer) findFor(query, sort bson.Raw) (bson.Raw, error) {
	if len(sort) > 5 {
		return w.find(w.ctx, w.db, w.coll, query, "sort", sort)
	}
	return w.find(w.ctx, w.db, w.coll, query)
}

// queryOf is the query of a statement, one that fits everything if there is
// none.
func queryOf(statement bson.Raw, field string) bson.Raw {
	if query, ok := statement.Lookup(field).DocumentOK(); ok {
		return query
	}
	return encode(bson.D{})
}

// recover finds out whether what was about to be done when the last process
// died was done, and notes it. An insert of what was there before is told
// once more then, and an update as a replacement.
func (s *Server) recover(ctx context.Context, intent *entry) error {
	if intent == nil {
		return nil
	}
	var entries []entry
	for _, id := range intent.IDs {
		doc, err := s.find(ctx, intent.DB, intent.Coll, d("_id", id))
		if err != nil {
			return err
		}
		e := entry{Op: intent.Will, DB: intent.DB, Coll: intent.Coll, ID: id, Doc: doc}
		if e.Op == opUpdate {
			e.Op = opReplace
		}
		if (doc == nil) == (e.Op == opDelete) {
			entries = append(entries, e)
		}
	}
	return s.log.append(entries...)
}
