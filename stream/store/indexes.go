package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/mongodb"
	"statustail/stream/schema"
)

// An index is one that the database has to have.
type index struct {
	collection string
	keys       bson.D
	unique     bool
	expire     time.Duration // documents go so long after the date in the key
}

// indexes are one for each filter and order that is read, but those by _id.
var indexes = []index{
	// Hosts.
	{collection: schema.Pages, keys: ascending("hosts")},
	// Load, and what a component's name means. Two that are put at once must
	// not become two.
	{collection: schema.Components, keys: ascending("page", "name"), unique: true},
	// Load: every field by which it chooses, so that it reads no document that
	// it does not want.
	{collection: schema.Issues, keys: ascending("page", "resolved_at", "cancelled_at", "schedule.ends_at", "schedule", "ended_at")},
	// PastIncidents, of pages and of components.
	{collection: schema.Issues, keys: ascending(append([]string{"page", "kind"}, ends...)...)},
	{collection: schema.Issues, keys: ascending(append([]string{"components", "kind"}, ends...)...)},
	// TrimEvents, and the server's own removing of old events.
	{collection: schema.Events, keys: ascending("created_at"), expire: schema.EventLife},
}

func ascending(fields ...string) bson.D { return include(fields...) }

// name is the one that drivers give an index: its keys and directions.
func (i index) name() (name string) {
	for _, key := range i.keys {
		if name != "" {
			name += "_"
		}
		name += key.Key + "_1"
	}
	return name
}

func (i index) model() mongo.IndexModel {
	opts := options.Index().SetName(i.name())
	if i.unique {
		opts.SetUnique(true)
	}
	if i.expire != 0 {
		opts.SetExpireAfterSeconds(int32(i.expire / time.Second))
	}
	return mongo.IndexModel{Keys: i.keys, Options: opts}
}

func (s *Store) initIndexes(ctx context.Context, report *InitReport) error {
	for _, index := range indexes {
		if index.expire != 0 {
			capped, _, err := s.collectionOptions(ctx, index.collection)
			if err != nil {
				return s.explain("init the expiry of events", err)
			}
			if capped {
				report.Skipped = append(report.Skipped, "the expiry of events: a capped collection removes its oldest by itself")
				continue
			}
		}
		if err := s.initIndex(ctx, index, report); err != nil {
			return s.explain(fmt.Sprintf("init the index %s of %s", index.name(), index.collection), err)
		}
	}
	return nil
}

// initIndex makes an index, or puts one right that has its name or its keys
// and is not like it.
func (s *Store) initIndex(ctx context.Context, want index, report *InitReport) error {
	what := fmt.Sprintf("index %s on %s", want.name(), want.collection)
	of := s.db.Collection(want.collection).Indexes()
	there, err := s.existingIndexes(ctx, want)
	if err != nil {
		return err
	}
	for _, raw := range there {
		if want.is(raw) {
			report.Done = append(report.Done, what+" exists")
			return nil
		}
	}
	for _, raw := range there {
		name, _ := raw.Lookup("name").StringValueOK()
		if err := of.DropOne(ctx, name); err != nil && !mongodb.HasCode(err, mongodb.CodeIndexNotFound) {
			return err
		}
	}
	_, err = of.CreateOne(ctx, want.model())
	switch {
	case want.unique && isDuplicate(err):
		plain := want
		plain.unique = false
		if _, err := of.CreateOne(ctx, plain.model()); err != nil {
			return err
		}
		report.Skipped = append(report.Skipped, fmt.Sprintf(
			"%s is not unique: some documents are the same in it; delete or rename one of each and run init again (%v)", what, reason(err)))
		return nil
	case want.expire != 0 && (mongodb.IsNotImplemented(err) || isNoExpiry(err)):
		report.Skipped = append(report.Skipped, "the expiry of events: the server has none (statustail serve removes old ones)")
		return nil
	case err != nil:
		return err
	case len(there) > 0:
		report.Done = append(report.Done, what+" replaced: one of that name or of those keys was not like it")
	default:
		report.Done = append(report.Done, what+" created")
	}
	return nil
}

// existingIndexes are those that stand in the way of one, or are it.
func (s *Store) existingIndexes(ctx context.Context, want index) (there []bson.Raw, err error) {
	cursor, err := s.db.Collection(want.collection).Indexes().List(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := bson.Marshal(want.keys)
	if err != nil {
		return nil, err
	}
	err = drain(ctx, cursor, func(raw bson.Raw) {
		name, _ := raw.Lookup("name").StringValueOK()
		if name == want.name() || sameKeys(raw.Lookup("key"), keys) {
			there = append(there, bytes.Clone(raw))
		}
	})
	return there, err
}

// is reports whether an index that exists is the one wanted, whatever its
// name. Options that are not known here make it another.
func (i index) is(raw bson.Raw) bool {
	keys, _ := bson.Marshal(i.keys)
	elements, _ := raw.Elements()
	unique, expire := false, time.Duration(0)
	for _, e := range elements {
		switch v := e.Value(); e.Key() {
		case "v", "ns", "name", "background":
		case "key":
			if !sameKeys(v, keys) {
				return false
			}
		case "unique":
			unique, _ = v.BooleanOK()
		case "expireAfterSeconds":
			seconds, _ := v.AsInt64OK()
			expire = time.Duration(seconds) * time.Second
		default:
			return false
		}
	}
	return unique == i.unique && expire == i.expire
}

// sameKeys compares key patterns; a direction may be any type of number.
func sameKeys(v bson.RawValue, want bson.Raw) bool {
	have, _ := v.DocumentOK()
	a, _ := have.Elements()
	b, _ := want.Elements()
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, ok := a[i].Value().AsFloat64OK()
		if !ok || a[i].Key() != b[i].Key() || x != b[i].Value().AsFloat64() {
			return false
		}
	}
	return true
}

// reason is the server's own words.
func reason(err error) string {
	if command := (mongo.CommandError{}); errors.As(err, &command) {
		return clip(command.Message)
	}
	return clip(err.Error())
}

// isDuplicate reports whether an index cannot be unique. The embedded database
// has no code of its own for that.
func isDuplicate(err error) bool {
	var command mongo.CommandError
	return mongodb.HasCode(err, mongodb.CodeDuplicateKey) ||
		errors.As(err, &command) && command.HasErrorCodeWithMessage(mongodb.CodeInternalError, "UNIQUE constraint failed")
}

// isNoExpiry recognises how the embedded database refuses the option.
func isNoExpiry(err error) bool {
	var command mongo.CommandError
	return errors.As(err, &command) && command.HasErrorCodeWithMessage(mongodb.CodeNotImplemented, "expireAfterSeconds")
}
