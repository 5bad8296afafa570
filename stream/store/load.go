package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/change"
	"statustail/stream/idtext"
	"statustail/stream/status"
)

// chunk is how many pages one query asks for.
const chunk = 500

// Load reads the pages with these slugs, with everything on them, in four
// queries for each 500, one after the other: it never takes more than one
// connection. A page that does not exist, or does not fit the schema, is
// absent from the result.
//
// Reads are majority reads. On a replica set or sharded cluster they show
// everything up to after, from whichever member they are served, and at is
// the newest operation time of the replies: an upper bound of what they
// reflect, never a lower one, and not before after. Elsewhere after is
// ignored, and at is the second that begins after the reads.
//
// A server that has not reached after yet makes Load wait, so ctx should have
// a deadline. Different queries may show different moments; a change in
// between is younger than at least one of them, so whoever is told of it
// loads again.
func (s *Store) Load(ctx context.Context, slugs []string, after change.Position) (pages map[string]status.Page, at change.Position, err error) {
	r, err := s.reader(ctx, after)
	if err != nil {
		return nil, 0, fmt.Errorf("load pages: %w", err)
	}
	defer r.close()

	wanted := slices.DeleteFunc(slices.Clone(slugs), func(slug string) bool { return CheckSlug(slug) != nil })
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)

	pages = make(map[string]status.Page, len(wanted))
	for some := range slices.Chunk(wanted, chunk) {
		if err := s.loadChunk(r.ctx, some, pages); err != nil {
			return nil, 0, err
		}
	}
	return pages, r.at(), nil
}

func (s *Store) loadChunk(ctx context.Context, slugs []string, into map[string]status.Page) error {
	cutoff := s.cutoff()
	found := make([]string, 0, len(slugs))
	err := each(ctx, s.pages(), bson.D{{Key: "_id", Value: in(slugs)}}, nil, func(raw bson.Raw) {
		if p, ok := s.decodePage(raw); ok {
			into[p.ID] = p
			found = append(found, p.ID)
		}
	})
	if err != nil {
		return fmt.Errorf("load pages: %w", err)
	}
	if len(found) == 0 {
		return nil
	}
	err = each(ctx, s.components(), bson.D{{Key: "page", Value: in(found)}}, nil, func(raw bson.Raw) {
		if c, slug, ok := s.decodeComponent(raw); ok {
			if p, ok := into[slug]; ok {
				p.Components = append(p.Components, c)
				into[slug] = p
			}
		}
	})
	if err != nil {
		return fmt.Errorf("load components: %w", err)
	}
	err = each(ctx, s.issues(), recentIssues(found, cutoff), nil, func(raw bson.Raw) {
		if i, slug, ok := s.decodeIssue(raw); ok {
			if p, ok := into[slug]; ok {
				p.Issues = append(p.Issues, i)
				into[slug] = p
			}
		}
	})
	if err != nil {
		return fmt.Errorf("load issues: %w", err)
	}
	if err := s.loadPastIncidents(ctx, found, cutoff, into); err != nil {
		return fmt.Errorf("load past incidents: %w", err)
	}
	return nil
}

// PageByHost finds the page that a custom domain belongs to. The host may be
// as it stands in a request's Host header. When several pages claim it, the
// first by slug has it.
func (s *Store) PageByHost(ctx context.Context, host string) (slug string, found bool, err error) {
	host = normalHost(host)
	if checkHost(host) != nil {
		return "", false, nil
	}
	raw, err := s.pages().FindOne(ctx, bson.D{{Key: "hosts", Value: host}}, options.FindOne().
		SetProjection(bson.D{{Key: "_id", Value: 1}}).
		SetSort(bson.D{{Key: "_id", Value: 1}})).Raw()
	switch {
	case err == mongo.ErrNoDocuments:
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("find the page of a host: %w", err)
	}
	slug = idtext.Of(raw.Lookup("_id"))
	return slug, CheckSlug(slug) == nil, nil
}

// normalHost is a Host header as hosts are kept: in lower case, without port
// and without the dot of the root.
func normalHost(host string) string {
	host = strings.ToLower(host)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") &&
		(strings.HasPrefix(host, "[") || strings.Count(host, ":") == 1) {
		host = host[:i]
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.TrimSuffix(host, ".")
}

// Issue reads one issue of a page, however old. It is not found when it is
// another page's, or does not fit the schema.
func (s *Store) Issue(ctx context.Context, page, id string) (issue status.Issue, found bool, err error) {
	if CheckSlug(page) != nil || id == "" {
		return status.Issue{}, false, nil
	}
	raw, err := s.issues().FindOne(ctx, bson.D{
		{Key: "_id", Value: in(idtext.Values(id))}, {Key: "page", Value: page},
	}).Raw()
	switch {
	case err == mongo.ErrNoDocuments:
		return status.Issue{}, false, nil
	case err != nil:
		return status.Issue{}, false, fmt.Errorf("find an issue: %w", err)
	}
	issue, _, found = s.decodeIssue(raw)
	if !found {
		return status.Issue{}, false, nil
	}
	return issue, true, nil
}

// each passes every document that a filter finds, as it is.
func each(ctx context.Context, c *mongo.Collection, filter, projection any, do func(bson.Raw)) error {
	opts := options.Find()
	if projection != nil {
		opts.SetProjection(projection)
	}
	cursor, err := c.Find(ctx, filter, opts)
	if err != nil {
		return err
	}
	return drain(ctx, cursor, do)
}

func drain(ctx context.Context, cursor *mongo.Cursor, do func(bson.Raw)) error {
	defer cursor.Close(ctx)
	for cursor.Next(ctx) {
		do(cursor.Current)
	}
	return cursor.Err()
}

func in[T any](values []T) bson.D { return bson.D{{Key: "$in", Value: values}} }
