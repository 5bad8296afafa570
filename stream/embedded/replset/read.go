package replset

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// fewAtOnce is how many documents of the largest size fit into one message of
// the backend, which does not look at their sizes.
const fewAtOnce = 2

// defaultBatch is how many documents a first batch has, as a mongod's.
const defaultBatch = 101

func (s *Server) aggregate(ctx context.Context, cmd *Command) (bson.D, error) {
	pipeline, _ := cmd.Get("pipeline").ArrayOK()
	stages, _ := pipeline.Values()
	for i, v := range stages {
		stage, _ := v.DocumentOK()
		first, err := stage.IndexErr(0)
		if err != nil {
			continue
		}
		switch name := first.Key(); {
		case name == "$changeStream" && i == 0:
			return s.watch(ctx, cmd)
		case name == "$changeStream":
			return nil, errorf(40602, "$changeStream is only valid as the first stage in a pipeline")
		case name == "$out" || name == "$merge":
			return nil, errorf(codeNotImplemented, "the embedded database has no stage %s", name)
		}
	}
	return s.read(ctx, cmd)
}

// read passes on a find or an aggregate. Where documents may be large, the
// backend is asked for a few at a time, and a batch ends before it exceeds a
// message.
func (s *Server) read(ctx context.Context, cmd *Command) (bson.D, error) {
	query := cmd.stripped()
	filter, _ := cmd.Get("filter").DocumentOK()
	if byID, rest := splitID(filter); rest != nil && cmd.Name == "find" {
		doc, err := s.find(ctx, cmd.DB, cmd.text("find"), filter)
		if err != nil {
			return nil, err
		}
		if doc == nil {
			return ok("cursor", d("firstBatch", bson.A{}, "id", int64(0), "ns", cmd.DB+"."+cmd.text("find"))), nil
		}
		for i := range query {
			if query[i].Key == "filter" {
				query[i].Value = bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: byID}
			}
		}
	}
	if s.cfg.Large == nil || !s.cfg.Large(cmd.DB) {
		reply, err := s.backend.run(ctx, cmd.DB, query)
		return elements(reply), err
	}
	want, single := defaultBatch, false
	limited := make(bson.D, 0, len(query)+1)
	for _, e := range query {
		v, _ := e.Value.(bson.RawValue)
		switch n, isNumber := v.AsInt64OK(); {
		case e.Key == "batchSize" && isNumber:
			want = int(n)
		case e.Key == "singleBatch":
			single, _ = v.BooleanOK()
		case e.Key == "cursor" && v.Type == bson.TypeEmbeddedDocument:
			if n, ok := v.Document().Lookup("batchSize").AsInt64OK(); ok {
				want = int(n)
			}
		default:
			limited = append(limited, e)
		}
	}
	few := min(want, fewAtOnce)
	if cmd.Name == "aggregate" {
		limited = append(limited, d("cursor", d("batchSize", few))...)
	} else {
		limited = append(limited, d("batchSize", few)...)
	}
	reply, err := s.backend.run(ctx, cmd.DB, limited)
	if err != nil {
		return nil, err
	}
	return s.fill(ctx, cmd.DB, reply, "firstBatch", want, single)
}

// more answers a getMore, of a change stream or of the backend's cursor.
func (s *Server) more(ctx context.Context, cmd *Command) (bson.D, error) {
	id, _ := cmd.Get("getMore").AsInt64OK()
	if st := s.cursors.get(id); st != nil {
		return s.getMore(ctx, cmd, st)
	}
	if s.cfg.Large == nil || !s.cfg.Large(cmd.DB) {
		return s.pass(ctx, cmd)
	}
	want := batchSize(cmd, "batchSize")
	if want == 0 {
		want = maxStatements
	}
	reply, err := s.backend.run(ctx, cmd.DB, d("getMore", id, "collection", cmd.text("collection"), "batchSize", fewAtOnce))
	if err != nil {
		return nil, err
	}
	return s.fill(ctx, cmd.DB, reply, "nextBatch", want, false)
}

// fill makes one batch of as many small ones as are wanted and fit.
func (s *Server) fill(ctx context.Context, db string, reply bson.Raw, name string, want int, single bool) (bson.D, error) {
	all := []bson.RawValue{}
	ns, size := reply.Lookup("cursor", "ns"), 0
	for batch := name; ; batch = "nextBatch" {
		docs, _ := reply.Lookup("cursor", batch).Array().Values()
		all = append(all, docs...)
		for _, doc := range docs {
			size += len(doc.Value)
		}
		id := reply.Lookup("cursor", "id").AsInt64()
		full := len(all) >= want || size >= maxDocument
		if full && single && id != 0 {
			_, coll, _ := cutNamespace(ns.StringValue())
			if _, err := s.backend.run(ctx, db, d("killCursors", coll, "cursors", bson.A{id})); err != nil {
				return nil, err
			}
			id = 0
		}
		if full || id == 0 {
			return ok("cursor", d(name, all, "id", id, "ns", ns)), nil
		}
		_, coll, _ := cutNamespace(ns.StringValue())
		var err error
		if reply, err = s.backend.run(ctx, db, d("getMore", id, "collection", coll, "batchSize", min(fewAtOnce, want-len(all)))); err != nil {
			return nil, err
		}
	}
}

// killCursors kills change streams here and passes on the rest.
func (s *Server) killCursors(ctx context.Context, cmd *Command) (bson.D, error) {
	ids, _ := cmd.Get("cursors").Array().Values()
	killed, rest := bson.A{}, bson.A{}
	for _, v := range ids {
		if id, _ := v.AsInt64OK(); s.cursors.remove(id) {
			killed = append(killed, v)
		} else {
			rest = append(rest, v)
		}
	}
	s.log.wake()
	if len(rest) == 0 {
		return ok("cursorsKilled", killed, "cursorsNotFound", bson.A{}, "cursorsAlive", bson.A{}, "cursorsUnknown", bson.A{}), nil
	}
	reply, err := s.backend.run(ctx, cmd.DB, d("killCursors", cmd.text("killCursors"), "cursors", rest))
	return elements(reply), err
}

// splitID splits a query that names one _id: the backend finds that by its
// index only when nothing stands beside it, so the rest is tested here. Rest
// is nil where there is none, or it has what cannot be tested here.
func splitID(query bson.Raw) (byID bson.Raw, rest predicate) {
	id := query.Lookup("_id")
	if fields, _ := query.Elements(); len(fields) < 2 || id.Type != bson.TypeString && id.Type != bson.TypeObjectID {
		return nil, nil
	}
	rest, err := parseMatch(query)
	if err != nil {
		return nil, nil
	}
	return encode(d("_id", id)), rest
}

// find is the first document that a filter fits, nil if there is none.
func (s *Server) find(ctx context.Context, db, coll string, filter any, more ...any) (bson.Raw, error) {
	var rest predicate
	if query, ok := filter.(bson.Raw); ok {
		var byID bson.Raw
		if byID, rest = splitID(query); rest != nil {
			filter = byID
		}
	}
	cmd := append(d("find", coll, "filter", filter, "limit", 1, "batchSize", 1, "singleBatch", true), d(more...)...)
	reply, err := s.backend.run(ctx, db, cmd)
	if err != nil {
		return nil, err
	}
	docs, _ := reply.Lookup("cursor", "firstBatch").Array().Values()
	if len(docs) == 0 {
		return nil, nil
	}
	if doc := docs[0].Document(); rest == nil || rest(doc) {
		return doc, nil
	}
	return nil, nil
}

// findIDs are the _ids of the documents that a filter fits.
func (s *Server) findIDs(ctx context.Context, db, coll string, filter any) ([]bson.RawValue, error) {
	reply, err := s.backend.run(ctx, db, d("find", coll, "filter", filter, "projection", d("_id", 1), "batchSize", maxStatements))
	var ids []bson.RawValue
	for batch := "firstBatch"; err == nil; batch = "nextBatch" {
		docs, _ := reply.Lookup("cursor", batch).Array().Values()
		for _, doc := range docs {
			ids = append(ids, doc.Document().Lookup("_id"))
		}
		id := reply.Lookup("cursor", "id").AsInt64()
		if id == 0 {
			return ids, nil
		}
		reply, err = s.backend.run(ctx, db, d("getMore", id, "collection", coll, "batchSize", maxStatements))
	}
	return nil, err
}
