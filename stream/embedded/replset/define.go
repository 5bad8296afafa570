package replset

import (
	"context"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func cutNamespace(ns string) (db, coll string, ok bool) { return strings.Cut(ns, ".") }

// define does what makes, changes or drops collections and indexes.
func (s *Server) define(ctx context.Context, cmd *Command) (bson.D, error) {
	if err := s.lock(ctx, cmd); err != nil {
		return nil, err
	}
	defer s.unlock()
	var entries []entry
	coll, _ := cmd.Get(cmd.Name).StringValueOK()
	switch strings.ToLower(cmd.Name) {
	case "drop":
		names, err := s.collections(ctx, cmd.DB)
		if err != nil {
			return nil, err
		}
		if slices.Contains(names, coll) {
			entries = []entry{{Op: opDrop, DB: cmd.DB, Coll: coll}}
		}
	case "dropdatabase":
		names, err := s.collections(ctx, cmd.DB)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			entries = append(entries, entry{Op: opDrop, DB: cmd.DB, Coll: name})
		}
		if len(names) > 0 {
			entries = append(entries, entry{Op: opDropDatabase, DB: cmd.DB})
		}
	case "renamecollection":
		db, from, _ := cutNamespace(coll)
		toDB, to, _ := cutNamespace(cmd.text("to"))
		entries = []entry{{Op: opRename, DB: db, Coll: from, ToDB: toDB, ToColl: to}}
	}
	reply, err := s.backend.run(context.WithoutCancel(ctx), cmd.DB, cmd.stripped())
	if err != nil {
		return nil, err
	}
	clear(s.known)
	if len(entries) > 0 {
		err = s.log.append(entries...)
	} else {
		err = s.log.tick(0)
	}
	return elements(reply), err
}

// collections are the names of a database's collections, sorted.
func (s *Server) collections(ctx context.Context, db string) ([]string, error) {
	reply, err := s.backend.run(ctx, db, d("listCollections", 1, "nameOnly", true))
	if err != nil {
		return nil, err
	}
	docs, _ := reply.Lookup("cursor", "firstBatch").Array().Values()
	names := make([]string, 0, len(docs))
	for _, doc := range docs {
		names = append(names, doc.Document().Lookup("name").StringValue())
	}
	slices.Sort(names)
	return names, nil
}

// ensure has a collection exist before something is written to it, so that
// what is to be done with a new one is done while it is empty.
func (s *Server) ensure(ctx context.Context, db, coll string) error {
	ns := db + "." + coll
	if s.known[ns] {
		return nil
	}
	if _, err := s.backend.run(ctx, db, d("create", coll)); err != nil && !isCode(err, codeNamespaceExists) {
		return err
	}
	if s.cfg.Created != nil {
		if err := s.cfg.Created(ctx, db, coll); err != nil {
			return err
		}
	}
	s.known[ns] = true
	return nil
}
