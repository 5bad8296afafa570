package store

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/change"
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

// eventsKept is how long events are kept, in seconds: longer than any replay
// window.
const eventsKept = 24 * 60 * 60

// Init prepares a database: collections, indexes, validators, and the index
// that removes old events. It is idempotent, changes no documents, and brings
// what an older version made up to date. A validator refuses new mistakes
// only: documents that were wrong before can still be updated.
func (s *Store) Init(ctx context.Context, opts InitOptions) (InitReport, error) {
	var report InitReport
	d, err := s.detect(ctx)
	if err != nil {
		return report, fmt.Errorf("init: %w", err)
	}
	if opts.Capped && d.clustered {
		return report, invalid("capped", "is for a standalone mongod: this deployment has change streams, which need no capped collection")
	}
	for _, name := range []string{change.Pages, change.Components, change.Issues, change.Events} {
		if err := s.initCollection(ctx, name, opts, &report); err != nil {
			return report, err
		}
	}
	if err := s.initIndexes(ctx, &report); err != nil {
		return report, err
	}
	return report, s.initExpiry(ctx, &report)
}

func (s *Store) initCollection(ctx context.Context, name string, opts InitOptions, report *InitReport) error {
	what := "init collection " + name
	capped, exists, err := s.collectionOptions(ctx, name)
	if err != nil {
		return s.explain(what, err)
	}
	wantCapped := opts.Capped && name == change.Events
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
	if hasCode(err, codeNamespaceExists) { // somebody else's init, just now
		exists = true
		err = s.db.RunCommand(ctx, append(bson.D{{Key: "collMod", Value: name}}, validation...)).Err()
	}
	validated := true
	if isNotImplemented(err) {
		validated, err = false, nil
		if !exists {
			err = s.db.RunCommand(ctx, create).Err()
			if hasCode(err, codeNamespaceExists) {
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

// indexes are for the queries of Load and PageByHost. That of issues holds
// every field by which Load chooses, so that it reads no document that it
// does not want.
var indexes = []struct {
	collection string
	keys       bson.D
}{
	{change.Pages, bson.D{{Key: "hosts", Value: 1}}},
	{change.Components, bson.D{{Key: "page", Value: 1}, {Key: "name", Value: 1}}},
	{change.Issues, bson.D{
		{Key: "page", Value: 1}, {Key: "resolved_at", Value: 1}, {Key: "cancelled_at", Value: 1},
		{Key: "schedule.ends_at", Value: 1}, {Key: "schedule", Value: 1}, {Key: "ended_at", Value: 1},
	}},
}

func (s *Store) initIndexes(ctx context.Context, report *InitReport) error {
	for _, index := range indexes {
		name, err := s.db.Collection(index.collection).Indexes().CreateOne(ctx, mongo.IndexModel{Keys: index.keys})
		if err != nil {
			return s.explain("init the index of "+index.collection, err)
		}
		report.Done = append(report.Done, fmt.Sprintf("index %s on %s", name, index.collection))
	}
	return nil
}

// initExpiry makes the index by which the server removes old events.
func (s *Store) initExpiry(ctx context.Context, report *InitReport) error {
	capped, _, err := s.collectionOptions(ctx, change.Events)
	if err != nil {
		return s.explain("init the expiry of events", err)
	}
	if capped {
		report.Skipped = append(report.Skipped, "the expiry of events: a capped collection removes its oldest by itself")
		return nil
	}
	keys := bson.D{{Key: "created_at", Value: 1}}
	_, err = s.events().Indexes().CreateOne(ctx, mongo.IndexModel{
		Keys: keys, Options: options.Index().SetExpireAfterSeconds(eventsKept),
	})
	if hasCode(err, codeIndexOptions) { // it exists with another time
		err = s.db.RunCommand(ctx, bson.D{
			{Key: "collMod", Value: change.Events},
			{Key: "index", Value: bson.D{
				{Key: "keyPattern", Value: keys}, {Key: "expireAfterSeconds", Value: int32(eventsKept)},
			}},
		}).Err()
	}
	switch {
	case isNotImplemented(err), isNoExpiry(err):
		report.Skipped = append(report.Skipped, "the expiry of events: the server has none (statustail serve removes old ones)")
	case err != nil:
		return s.explain("init the expiry of events", err)
	default:
		report.Done = append(report.Done, "events expire after one day")
	}
	return nil
}

// isNoExpiry recognises how the embedded database refuses the option.
func isNoExpiry(err error) bool {
	var command mongo.CommandError
	return errors.As(err, &command) && command.HasErrorCodeWithMessage(codeNotImplemented, "expireAfterSeconds")
}
