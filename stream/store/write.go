package store

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/mongodb"
	"statustail/stream/schema"
)

// Every write is one operation on one document, so nothing is ever half
// written (but for the deletion of a page, which can be repeated), and is
// acknowledged by a journaled majority. A write that depends
// on the document's condition has the condition in its filter.

// changed leaves word of a write where that is all that can be followed: in
// the capped collection of a standalone mongod. The write has been made, so a
// failure here is not the caller's: pages are read again now and then anyhow.
func (s *Store) changed(ctx context.Context, page string) {
	capped, err := s.eventsCapped(ctx)
	if err == nil && capped {
		_, err = s.events().InsertOne(ctx, bson.D{
			{Key: "_id", Value: bson.NewObjectID()},
			{Key: "page", Value: page},
			{Key: "name", Value: schema.Changed},
			{Key: "created_at", Value: s.clock()},
		})
	}
	if err != nil {
		s.log.Warn("written, but the hint that tells servers at once could not be left", "page", page, "error", err)
	}
}

// eventsCapped reports whether changes must be hinted at: on a standalone
// mongod whose events collection is capped.
func (s *Store) eventsCapped(ctx context.Context) (bool, error) {
	deployment, err := s.detect(ctx)
	if err != nil || deployment.Clustered() {
		return false, err
	}
	capped, _, err := s.collectionOptions(ctx, schema.Events)
	return capped, err
}

// collectionOptions says whether a collection exists and is capped.
func (s *Store) collectionOptions(ctx context.Context, name string) (capped, exists bool, err error) {
	specs, err := s.db.ListCollectionSpecifications(ctx, bson.D{{Key: "name", Value: name}})
	if err != nil {
		return false, false, err
	}
	for _, spec := range specs {
		if spec.Name == name {
			capped, _ := spec.Options.Lookup("capped").BooleanOK()
			return capped, true, nil
		}
	}
	return false, false, nil
}

// requirePage is nil when a page with this slug exists.
func (s *Store) requirePage(ctx context.Context, slug string) error {
	if err := CheckSlug(slug); err != nil {
		return err
	}
	err := s.pages().FindOne(ctx, bson.D{{Key: "_id", Value: slug}},
		options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Err()
	if err == mongo.ErrNoDocuments {
		return s.noPage(slug)
	}
	return s.explain("find the page", err)
}

// A found document: its id as it stands in the database, and all of it.
type found struct {
	id  bson.RawValue
	raw bson.Raw
}

// findUpTo reads at most n documents.
func findUpTo(ctx context.Context, c *mongo.Collection, filter bson.D, n int64) ([]found, error) {
	cursor, err := c.Find(ctx, filter, options.Find().SetLimit(n))
	if err != nil {
		return nil, err
	}
	var all []found
	err = drain(ctx, cursor, func(raw bson.Raw) {
		raw = append(bson.Raw(nil), raw...) // the cursor reuses its buffer
		all = append(all, found{id: raw.Lookup("_id"), raw: raw})
	})
	return all, err
}

// findIDs reads the documents whose ids a text may mean.
func findIDs(ctx context.Context, c *mongo.Collection, text string) (all []found, err error) {
	for _, id := range mongodb.IDValues(text) {
		some, err := findUpTo(ctx, c, bson.D{{Key: "_id", Value: id}}, 1)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// findComponent finds the one component of a page that a person means by an
// id or a name.
func (s *Store) findComponent(ctx context.Context, page, ref string) (found, error) {
	if err := checkName("component", ref); err != nil {
		return found{}, err
	}
	all, err := findIDs(ctx, s.components(), ref)
	all = slices.DeleteFunc(all, func(c found) bool {
		slug, _ := c.raw.Lookup("page").StringValueOK()
		return slug != page
	})
	if err == nil && len(all) == 0 {
		all, err = findUpTo(ctx, s.components(), bson.D{{Key: "page", Value: page}, {Key: "name", Value: ref}}, 2)
	}
	switch {
	case err != nil:
		return found{}, s.explain("find the component", err)
	case len(all) > 1:
		return found{}, conflict("page %q has several components %q: name one by its id (%s, %s, …)",
			page, ref, mongodb.IDText(all[0].id), mongodb.IDText(all[1].id))
	case len(all) == 0:
		return found{}, &NotFoundError{Reason: fmt.Sprintf("page %q has no component %q", page, ref)}
	}
	return all[0], nil
}
