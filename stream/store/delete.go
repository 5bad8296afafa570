package store

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/mongodb"
)

// Contents is how much there is of a page beside itself.
type Contents struct{ Components, Issues int64 }

// PageContents counts what goes with a page when it is deleted. Of a page that
// is gone it is what an interrupted deletion has left; where nothing is left,
// the error is a NotFoundError.
func (s *Store) PageContents(ctx context.Context, slug string) (in Contents, err error) {
	if err := CheckSlug(slug); err != nil {
		return in, err
	}
	if in.Components, err = count(ctx, s.components(), slug); err == nil {
		in.Issues, err = count(ctx, s.issues(), slug)
	}
	if err != nil {
		return in, s.explain("count what is on the page", err)
	}
	if in == (Contents{}) {
		return in, s.requirePage(ctx, slug)
	}
	return in, nil
}

// count counts a page's documents by reading their ids, which every server
// can.
func count(ctx context.Context, c *mongo.Collection, slug string) (n int64, err error) {
	cursor, err := c.Find(ctx, bson.D{{Key: "page", Value: slug}}, options.Find().SetProjection(include("_id")))
	if err == nil {
		err = drain(ctx, cursor, func(bson.Raw) { n++ })
	}
	return n, err
}

// DeletePage deletes a page and all that is on it, and says how much that was.
// The page itself goes first, so that nobody sees half of it; a deletion that
// was interrupted is finished by another.
func (s *Store) DeletePage(ctx context.Context, slug string) (gone Contents, err error) {
	if err := CheckSlug(slug); err != nil {
		return gone, err
	}
	page, err := s.pages().DeleteOne(ctx, bson.D{{Key: "_id", Value: slug}})
	if err != nil {
		return gone, s.explain("delete page "+slug, err)
	}
	for _, part := range []struct {
		collection *mongo.Collection
		deleted    *int64
	}{{s.components(), &gone.Components}, {s.issues(), &gone.Issues}} {
		result, err := part.collection.DeleteMany(ctx, bson.D{{Key: "page", Value: slug}})
		if err != nil {
			return gone, s.explain("delete what was on page "+slug+" (repeat to go on)", err)
		}
		*part.deleted = result.DeletedCount
	}
	if page.DeletedCount == 0 && gone == (Contents{}) {
		return gone, s.noPage(slug)
	}
	s.changed(ctx, slug)
	return gone, nil
}

// DeleteComponent deletes a component, which is named by its id or its name,
// with its history, and gives its id. Issues that name it go on without it.
func (s *Store) DeleteComponent(ctx context.Context, page, component string) (id string, err error) {
	if err := s.requirePage(ctx, page); err != nil {
		return "", err
	}
	c, err := s.findComponent(ctx, page, component)
	if err != nil {
		return "", err
	}
	return mongodb.IDText(c.id), s.deleteOne(ctx, s.components(), c, "component "+component)
}

// DeleteIssue deletes an issue as if it had never been: what it says of the
// past goes with it.
func (s *Store) DeleteIssue(ctx context.Context, id string) error {
	issue, err := s.findIssue(ctx, id)
	if err != nil {
		return err
	}
	return s.deleteOne(ctx, s.issues(), issue, "issue "+id)
}

func (s *Store) deleteOne(ctx context.Context, c *mongo.Collection, doc found, what string) error {
	result, err := c.DeleteOne(ctx, bson.D{{Key: "_id", Value: doc.id}})
	if err != nil {
		return s.explain("delete "+what, err)
	}
	if result.DeletedCount == 0 {
		return &NotFoundError{Reason: fmt.Sprintf("%s is gone already", what)}
	}
	if page, ok := doc.raw.Lookup("page").StringValueOK(); ok {
		s.changed(ctx, page)
	}
	return nil
}
