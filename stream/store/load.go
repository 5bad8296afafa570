package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/change"
	"statustail/stream/mongodb"
	"statustail/stream/schema"
)

// chunk is how many pages, hosts or ids one query asks for.
const chunk = 500

// Load reads the pages with these slugs: everything on them that is shown, in
// three queries for each 500, one after the other, so that it never takes more
// than one connection. A page that does not exist is absent from the result.
//
// Reads are majority reads. On a replica set or sharded cluster they show
// everything up to after, from whichever member they are served: a secondary
// that has not got there within a second is left for the primary. at is the
// newest operation time of the replies, not before after: what the next load
// of the same pages is to come after. A standalone mongod has no such times:
// after is ignored there, and at is 0.
//
// The error is change.ErrAhead when after lies ahead of the server's clock.
// Any other is worth trying again. Load takes 20 seconds at most.
//
// Different queries may show different moments. A change in between is
// younger than at least one of them, so its hint leads to another load.
func (s *Store) Load(ctx context.Context, slugs []string, after change.Position) (pages map[string]Reading, at change.Position, err error) {
	wanted := slices.DeleteFunc(slices.Clone(slugs), func(slug string) bool { return !schema.IsSlug(slug) })
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	pages = make(map[string]Reading, len(wanted))
	if len(wanted) == 0 {
		return pages, after, nil
	}
	r, err := s.reader(ctx, loadWithin, after)
	if err != nil {
		return nil, 0, fmt.Errorf("load pages: %w", err)
	}
	defer r.close()
	for some := range slices.Chunk(wanted, chunk) {
		if err := r.load(some, pages); err != nil {
			return nil, 0, err
		}
	}
	return pages, r.at(), nil
}

func (r *reader) load(slugs []string, into map[string]Reading) error {
	s := r.store
	found := make(map[string]*documents, len(slugs))
	err := r.find(s.pages(), bson.D{{Key: "_id", Value: isAny(slugs)}}, options.Find().SetProjection(pageFields), func(raw bson.Raw) {
		if slug, ok := raw.Lookup("_id").StringValueOK(); ok {
			found[slug] = &documents{page: bytes.Clone(raw)}
		}
	})
	if err != nil {
		return fmt.Errorf("load pages: %w", err)
	}
	if len(found) == 0 {
		return nil
	}
	slugs = slices.DeleteFunc(slices.Clone(slugs), func(slug string) bool { return found[slug] == nil })
	ofPages := bson.D{{Key: "page", Value: isAny(slugs)}}
	err = r.findLists(s.components(), ofPages, componentFields, componentLists, func(raw bson.Raw) {
		if d := found[raw.Lookup("page").StringValue()]; d != nil {
			d.components = append(d.components, bytes.Clone(raw))
		}
	})
	if err != nil {
		return fmt.Errorf("load components: %w", err)
	}
	err = r.findLists(s.issues(), recentIssues(slugs, s.cutoff()), issueFields, issueLists, func(raw bson.Raw) {
		if d := found[raw.Lookup("page").StringValue()]; d != nil {
			d.issues = append(d.issues, bytes.Clone(raw))
		}
	})
	if err != nil {
		return fmt.Errorf("load issues: %w", err)
	}
	for slug, d := range found {
		into[slug] = s.reading(*d)
	}
	return nil
}

// The fields that decoding reads; no others are asked for.
var (
	pageFields      = include("name", "url", "hosts", "origins", "private", "locale", "time_zone", "created_at")
	componentFields = include("page", "name", "description", "group", "position", "state", "created_at")
	componentLists  = bson.D{{Key: "history", Value: schema.MaxHistory}}
	issueFields     = include("page", "title", "body", "label", "kind", "state", "components", "schedule", "progress",
		"began_at", "ended_at", "resolved_at", "cancelled_at", "created_at", "updated_at")
	issueLists = bson.D{{Key: "updates", Value: schema.MaxUpdates}}
)

// findLists is find with lists of which only the end is wanted, so many
// elements of each. The embedded database cannot cut them and sends them
// whole; decoding reads no more of them.
func (r *reader) findLists(c *mongo.Collection, filter bson.D, fields, lists bson.D, do func(bson.Raw)) error {
	s := r.store
	if !s.wholeLists.Load() {
		projection := slices.Clone(fields)
		for _, list := range lists {
			projection = append(projection, bson.E{Key: list.Key, Value: bson.D{{Key: "$slice", Value: -list.Value.(int)}}})
		}
		err := r.find(c, filter, options.Find().SetProjection(projection), do)
		if !mongodb.IsNotImplemented(err) {
			return err
		}
		s.wholeLists.Store(true)
	}
	projection := slices.Clone(fields)
	for _, list := range lists {
		projection = append(projection, bson.E{Key: list.Key, Value: 1})
	}
	return r.find(c, filter, options.Find().SetProjection(projection), do)
}

// recentIssues are those standing, upcoming, or over no earlier than cutoff,
// by the rules of status.Issue.PhaseAt: an issue is over when it was resolved
// or cancelled, and, being scheduled, also when it has ended or its end has
// come. What is of a wrong type counts as absent, so that decoding sees it.
func recentIssues(slugs []string, cutoff time.Time) bson.D {
	notBefore := bson.D{{Key: "$not", Value: before(cutoff)}}
	return bson.D{
		{Key: "page", Value: isAny(slugs)},
		{Key: "resolved_at", Value: notBefore},
		{Key: "cancelled_at", Value: notBefore},
		{Key: "schedule.ends_at", Value: notBefore},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: "schedule", Value: nil}},
			bson.D{{Key: "ended_at", Value: notBefore}},
		}},
	}
}

func before(t time.Time) bson.D { return bson.D{{Key: "$lt", Value: t}} }
