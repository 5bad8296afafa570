package store

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/mongodb"
	"statustail/stream/schema"
)

// InitOptions is what is special about a database to prepare.
type InitOptions struct {
	// Capped makes events a capped collection: what is followed on a
	// standalone mongod, which has no change streams.
	Capped bool
	// CappedSize is its size in bytes; zero is 16 MiB. A follower that lost
	// its place reads it from the start.
	CappedSize int64
}

// An InitReport is what Init did and did not do, a sentence each.
type InitReport struct {
	Done    []string
	Skipped []string // what the server does not know how to do
}

// Init prepares a database: collections, validators, indexes. It is
// idempotent, changes no documents, and brings what an older version made up
// to date. A validator refuses new mistakes only: documents that were wrong
// before can still be updated.
func (s *Store) Init(ctx context.Context, opts InitOptions) (InitReport, error) {
	var report InitReport
	deployment, err := s.detect(ctx)
	if err != nil {
		return report, fmt.Errorf("init: %w", err)
	}
	if opts.Capped && deployment.Clustered() {
		return report, invalid("capped", "is for a standalone mongod: this deployment has change streams, which need no capped collection")
	}
	for _, name := range schema.Collections {
		if err := s.initCollection(ctx, name, opts, &report); err != nil {
			return report, err
		}
	}
	return report, s.initIndexes(ctx, &report)
}

func (s *Store) initCollection(ctx context.Context, name string, opts InitOptions, report *InitReport) error {
	what := "init collection " + name
	capped, exists, err := s.collectionOptions(ctx, name)
	if err != nil {
		return s.explain(what, err)
	}
	wantCapped := opts.Capped && name == schema.Events
	if exists && wantCapped && !capped {
		return conflict("collection events exists and is not capped: drop it (it holds only passing messages) and run init --capped again")
	}
	validation := bson.D{
		{Key: "validator", Value: validator(name)},
		{Key: "validationLevel", Value: "moderate"},
		{Key: "validationAction", Value: "error"},
	}
	create := bson.D{{Key: "create", Value: name}}
	if wantCapped {
		size := opts.CappedSize
		if size <= 0 {
			size = 16 << 20
		}
		create = append(create, bson.E{Key: "capped", Value: true}, bson.E{Key: "size", Value: size})
	}
	command := append(create, validation...)
	if exists {
		command = append(bson.D{{Key: "collMod", Value: name}}, validation...)
	}
	err = s.db.RunCommand(ctx, command).Err()
	if mongodb.HasCode(err, mongodb.CodeNamespaceExists) { // somebody else's init, just now
		exists = true
		err = s.db.RunCommand(ctx, append(bson.D{{Key: "collMod", Value: name}}, validation...)).Err()
	}
	validated := true
	if mongodb.IsNotImplemented(err) {
		validated, err = false, nil
		if !exists {
			err = s.db.RunCommand(ctx, create).Err()
			if mongodb.HasCode(err, mongodb.CodeNamespaceExists) {
				err = nil
			}
		}
	}
	if err != nil {
		return s.explain(what, err)
	}
	report.Done = append(report.Done, fmt.Sprintf("collection %s %s", name, map[bool]string{true: "exists", false: "created"}[exists]))
	if !validated {
		report.Skipped = append(report.Skipped, fmt.Sprintf("a validator for %s: the server has none (reads check every document anyway)", name))
	}
	return nil
}
