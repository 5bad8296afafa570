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
	"statustail/stream/mongodb"
	"statustail/stream/schema"
	"statustail/stream/status"
)

// Hosts finds the pages that custom domains belong to, in one query for each
// 500. The hosts are as they stand in requests' Host headers, and key the
// result. One that no page has is absent; of several pages that claim one, the
// first by slug has it.
//
// after and the error are those of Load. Hosts takes 5 seconds at most.
func (s *Store) Hosts(ctx context.Context, hosts []string, after change.Position) (slugs map[string]string, err error) {
	asked := map[string][]string{} // as kept in the database: as asked for
	for _, host := range hosts {
		if kept := normalHost(host); checkHost(kept) == nil && !slices.Contains(asked[kept], host) {
			asked[kept] = append(asked[kept], host)
		}
	}
	slugs = make(map[string]string, len(asked))
	if len(asked) == 0 {
		return slugs, nil
	}
	r, err := s.reader(ctx, lookupWithin, after)
	if err != nil {
		return nil, fmt.Errorf("find the pages of hosts: %w", err)
	}
	defer r.close()
	wanted := make([]string, 0, len(asked))
	for kept := range asked {
		wanted = append(wanted, kept)
	}
	slices.Sort(wanted)
	for some := range slices.Chunk(wanted, chunk) {
		filter := bson.D{{Key: "hosts", Value: isAny(some)}}
		err := r.find(s.pages(), filter, options.Find().SetProjection(include("hosts")), func(raw bson.Raw) {
			slug, _ := raw.Lookup("_id").StringValueOK()
			list, _ := raw.Lookup("hosts").ArrayOK()
			claimed, _ := list.Values()
			if !schema.IsSlug(slug) {
				return
			}
			for _, v := range claimed {
				kept, _ := v.StringValueOK()
				for _, host := range asked[kept] {
					if other, taken := slugs[host]; !taken || slug < other {
						slugs[host] = slug
					}
				}
			}
		})
		if err != nil {
			return nil, fmt.Errorf("find the pages of hosts: %w", err)
		}
	}
	return slugs, nil
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

// An IssueRef is the id of an issue, as it stands in a URL, on a page.
// Where a string and a number are the ids of two issues, it means the string's.
type IssueRef struct{ Page, ID string }

// maxID is the longest id that is looked for, in bytes.
const maxID = 500

// Issues reads single issues, however old. An id is compared as the plain
// values that it may be, and never parsed. An issue is absent from the result
// when it does not exist, is another page's, or does not fit the schema.
//
// An id costs one look-up by _id or two, so some hundred are a good batch.
// after and the error are those of Load. Issues takes 5 seconds at most.
func (s *Store) Issues(ctx context.Context, refs []IssueRef, after change.Position) (issues map[IssueRef]status.Issue, err error) {
	wanted := map[IssueRef]bool{}
	ids := map[string]bool{}
	for _, ref := range refs {
		if schema.IsSlug(ref.Page) && ref.ID != "" && len(ref.ID) <= maxID {
			wanted[ref], ids[ref.ID] = true, true
		}
	}
	issues = make(map[IssueRef]status.Issue, len(wanted))
	if len(wanted) == 0 {
		return issues, nil
	}
	r, err := s.reader(ctx, lookupWithin, after)
	if err != nil {
		return nil, fmt.Errorf("find issues: %w", err)
	}
	defer r.close()
	err = r.findIDs(s.issues(), ids, func(raw bson.Raw) {
		page, _ := raw.Lookup("page").StringValueOK()
		ref := IssueRef{page, mongodb.IDText(raw.Lookup("_id"))}
		if _, taken := issues[ref]; taken || !wanted[ref] {
			return
		}
		if issue, ok := s.decodeIssue(raw); ok {
			issues[ref] = issue
		}
	})
	if err != nil {
		return nil, fmt.Errorf("find issues: %w", err)
	}
	return issues, nil
}

// findIDs finds documents by the texts of their ids. Strings and ObjectIDs are
// looked up one at a time and by nothing else, which costs MongoDB no more
// than a round trip each, and is all that the embedded database has an index
// for: with anything else in the filter it reads the whole collection. Numbers
// and UUIDs, for which it does that anyway, are looked up together.
func (r *reader) findIDs(c *mongo.Collection, texts map[string]bool, do func(bson.Raw)) error {
	var others []any
	for text := range texts {
		for _, id := range mongodb.IDValues(text) {
			switch id.(type) {
			case string, bson.ObjectID:
				if err := r.find(c, bson.D{{Key: "_id", Value: id}}, options.Find().SetLimit(1), do); err != nil {
					return err
				}
			default:
				others = append(others, id)
			}
		}
	}
	for some := range slices.Chunk(others, chunk) {
		if err := r.find(c, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: some}}}}, options.Find(), do); err != nil {
			return err
		}
	}
	return nil
}
