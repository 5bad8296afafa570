package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/mongodb"
	"statustail/stream/status"
)

// A Record is a document as those who manage pages need it: whether or not it
// fits the schema.
type Record[T any] struct {
	ID   string
	Page string // the slug
	// Value is what readers make of the document; the zero value when Fits is
	// false, so that they leave it out.
	Value T
	Fits  bool
	// JSON is the whole document in one line: plain JSON, in which ids are
	// text and dates RFC 3339.
	JSON []byte
}

// ListPages reads every page, by slug.
func (s *Store) ListPages(ctx context.Context) ([]Record[status.Page], error) {
	return list(ctx, s, "list the pages", s.pages(), bson.D{}, options.Find().SetSort(ascending("_id")), s.pageRecord)
}

// ListComponents reads the components of a page, in the order in which they
// are shown.
func (s *Store) ListComponents(ctx context.Context, page string) ([]Record[status.Component], error) {
	if err := s.requirePage(ctx, page); err != nil {
		return nil, err
	}
	return list(ctx, s, "list the components", s.components(), bson.D{{Key: "page", Value: page}},
		options.Find().SetSort(ascending("position", "name", "_id")), s.componentRecord)
}

// ListIssues reads the issues of a page that are standing or upcoming, or with
// all every one of them, however old; newest first, and n at most.
func (s *Store) ListIssues(ctx context.Context, page string, all bool, n int) ([]Record[status.Issue], error) {
	if err := s.requirePage(ctx, page); err != nil {
		return nil, err
	}
	filter, now := bson.D{{Key: "page", Value: page}}, s.clock()
	opts := options.Find().SetSort(bson.D{{Key: "created_at", Value: -1}, {Key: "_id", Value: -1}})
	if all {
		opts.SetLimit(int64(n))
	} else {
		filter = recentIssues([]string{page}, now)
	}
	issues, err := list(ctx, s, "list the issues", s.issues(), filter, opts, s.issueRecord)
	if !all {
		// What was resolved by a clock ahead of this one is over all the same.
		issues = slices.DeleteFunc(issues, func(i Record[status.Issue]) bool { return i.Fits && !i.Value.PhaseAt(now).Open() })
	}
	return issues[:min(n, len(issues))], err
}

// GetPage reads one page.
func (s *Store) GetPage(ctx context.Context, slug string) (r Record[status.Page], err error) {
	if err := CheckSlug(slug); err != nil {
		return r, err
	}
	raw, err := s.pages().FindOne(ctx, bson.D{{Key: "_id", Value: slug}}).Raw()
	if err == mongo.ErrNoDocuments {
		return r, s.noPage(slug)
	}
	if err != nil {
		return r, s.explain("find the page", err)
	}
	return s.pageRecord(raw), nil
}

// GetComponent reads the component of a page that is named by its id or its
// name.
func (s *Store) GetComponent(ctx context.Context, page, component string) (r Record[status.Component], err error) {
	if err := s.requirePage(ctx, page); err != nil {
		return r, err
	}
	c, err := s.findComponent(ctx, page, component)
	if err != nil {
		return r, err
	}
	return s.componentRecord(c.raw), nil
}

// GetIssue reads one issue, of whatever page.
func (s *Store) GetIssue(ctx context.Context, id string) (r Record[status.Issue], err error) {
	issue, err := s.findIssue(ctx, id)
	if err != nil {
		return r, err
	}
	return s.issueRecord(issue.raw), nil
}

func list[T any](ctx context.Context, s *Store, what string, c *mongo.Collection, filter bson.D,
	opts *options.FindOptionsBuilder, record func(bson.Raw) Record[T]) ([]Record[T], error) {
	cursor, err := c.Find(ctx, filter, opts)
	if err != nil {
		return nil, s.explain(what, err)
	}
	var all []Record[T]
	err = drain(ctx, cursor, func(raw bson.Raw) { all = append(all, record(raw)) })
	return all, s.explain(what, err)
}

func (s *Store) pageRecord(raw bson.Raw) Record[status.Page] {
	p, err := s.decodePage(raw)
	r := recordOf(raw, p, err == nil)
	r.Page = r.ID
	return r
}

func (s *Store) componentRecord(raw bson.Raw) Record[status.Component] {
	c, ok := s.decodeComponent(raw)
	return recordOf(raw, c, ok)
}

func (s *Store) issueRecord(raw bson.Raw) Record[status.Issue] {
	i, ok := s.decodeIssue(raw)
	return recordOf(raw, i, ok)
}

func recordOf[T any](raw bson.Raw, value T, fits bool) Record[T] {
	r := Record[T]{ID: mongodb.IDText(raw.Lookup("_id")), Fits: fits, JSON: documentJSON(raw)}
	r.Page, _ = raw.Lookup("page").StringValueOK()
	if fits {
		r.Value = value
	}
	return r
}

// documentJSON is a document as plain JSON or, where it holds what plain JSON
// has no word for, as MongoDB's extended one.
func documentJSON(raw bson.Raw) []byte {
	line, err := mongodb.AppendJSON(nil, bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: raw})
	if err != nil {
		line, err = bson.MarshalExtJSON(raw, false, true)
	}
	if err != nil {
		return fmt.Appendf(nil, `{"error":%q}`, err)
	}
	return line
}

// dateOr is a time to set, in a form that checks accept.
func dateOr(t *time.Time, otherwise time.Time) time.Time {
	if t == nil {
		return otherwise
	}
	return *t
}
