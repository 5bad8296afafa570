package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/change"
	"statustail/stream/mongodb"
	"statustail/stream/schema"
	"statustail/stream/status"
)

// overlap is how far PastIncidents reaches into the window: longer than the
// time between two of its reads, so that an incident that leaves the window by
// the clock is known before.
const overlap = 15 * time.Minute

// PastIncidents finds when the newest incident ended that was over before the
// window: by slug, for the components whose ids are wanted, and for the page
// as a whole under the empty id. The result has the same shape, without those
// that had none, and its inner maps are what status.Page.PastIncidents is. It
// reaches 15 minutes into the window, so a result can be kept that long.
//
// For one page, or one component, it is three reads of one document each, all
// on one index. For many at once it is a few more, of no more than four
// documents for each that is asked for: what it costs does not grow with the
// history. Only scheduled incidents that were over before their start, and so
// never happened, are read past.
//
// after and the error are those of Load.
func (s *Store) PastIncidents(ctx context.Context, wanted map[string][]string, after change.Position) (ended map[string]map[string]time.Time, err error) {
	ended = make(map[string]map[string]time.Time, len(wanted))
	if len(wanted) == 0 {
		return ended, nil
	}
	r, err := s.reader(ctx, loadWithin, after)
	if err != nil {
		return nil, fmt.Errorf("find past incidents: %w", err)
	}
	defer r.close()
	p := past{reader: r, before: s.cutoff().Add(overlap), ended: ended}
	if err := p.find(wanted); err != nil {
		return nil, fmt.Errorf("find past incidents: %w", err)
	}
	return ended, nil
}

// How many pages and components are asked for together. MongoDB merges ranges
// of an index in order, without sorting, as long as there are no more than 200
// of them (internalQueryMaxScansToExplode). A page makes up to six: for either
// kind, with null and, in older versions, undefined for what is absent. The id
// of a component may be two values.
const (
	pagesTogether      = 32
	componentsTogether = 16
)

// past is a run of such reads.
type past struct {
	*reader
	before time.Time
	ended  map[string]map[string]time.Time
}

// A scope is a page, or a component of it.
type scope struct{ page, component string }

func (p *past) find(wanted map[string][]string) error {
	var pages, components []scope
	for _, slug := range slices.Sorted(maps.Keys(wanted)) {
		if !schema.IsSlug(slug) {
			continue
		}
		for _, id := range wanted[slug] {
			if id == "" {
				pages = append(pages, scope{page: slug})
			} else {
				components = append(components, scope{slug, id})
			}
		}
	}
	for some := range slices.Chunk(pages, pagesTogether) {
		if err := p.newest(some); err != nil {
			return err
		}
	}
	for some := range slices.Chunk(components, componentsTogether) {
		if err := p.newest(some); err != nil {
			return err
		}
	}
	return nil
}

func (p *past) note(s scope, end time.Time) {
	if p.ended[s.page] == nil {
		p.ended[s.page] = map[string]time.Time{}
	}
	if end.After(p.ended[s.page][s.component]) {
		p.ended[s.page][s.component] = end
	}
}

// ends are the fields that say when an incident ended, each where those before
// it do not. After the page or the components and the kind, in this order,
// they are the index of these reads.
var ends = []string{"ended_at", "resolved_at", "schedule.ends_at"}

// newest reads, for each of the ends, the newest incidents until each of the
// scopes has been answered or has none: all of them are pages, or all
// components. One read asks for a few documents more than answers are missing,
// because one page may have several of the newest; what is still missing then
// is asked for without the others.
func (p *past) newest(scopes []scope) error {
	for n, field := range ends {
		missing := slices.Clone(scopes)
		before, unreal := p.before, 0
		for len(missing) > 0 {
			limit := 1
			if len(missing) > 1 || unreal > 0 {
				limit = 4 * (len(missing) + unreal)
			}
			got, passed, answered := 0, 0, map[scope]bool{}
			filter := append(ofScopes(missing), pastIncidents(n, before)...)
			opts := options.Find().SetSort(bson.D{{Key: field, Value: -1}}).SetLimit(int64(limit)).
				SetProjection(include("page", "components", "began_at", "ended_at", "resolved_at", "schedule"))
			err := p.reader.find(p.store.issues(), filter, opts, func(raw bson.Raw) {
				got++
				end := dateAt(raw, field)
				if neverBegan(raw, end) {
					passed++
					before = end // what ended later has been read, for all that is missing
					return
				}
				for _, s := range scopesOf(raw, missing[0].component != "") {
					if !end.IsZero() && slices.Contains(missing, s) {
						answered[s] = true
						p.note(s, end)
					}
				}
			})
			if err != nil {
				return err
			}
			asked := missing
			missing = slices.DeleteFunc(slices.Clone(asked), func(s scope) bool { return answered[s] })
			switch {
			case got < limit: // what is missing has none
				missing = nil
			case passed > 0:
				unreal += passed
			case len(answered) > 0:
			case asked[0].page == asked[len(asked)-1].page:
				missing = nil
			default:
				// All that came are incidents of one page that name components of
				// another. No page is in the way of another when each is asked alone.
				return p.eachPage(scopes)
			}
		}
	}
	return nil
}

func (p *past) eachPage(scopes []scope) error {
	for len(scopes) > 0 {
		n := slices.IndexFunc(scopes, func(s scope) bool { return s.page != scopes[0].page })
		if n < 0 {
			n = len(scopes)
		}
		if err := p.newest(scopes[:n]); err != nil {
			return err
		}
		scopes = scopes[n:]
	}
	return nil
}

// ofScopes finds the issues of pages, or those that name components.
func ofScopes(scopes []scope) (filter bson.D) {
	var pages []string
	var components []any
	for _, s := range scopes {
		if len(pages) == 0 || pages[len(pages)-1] != s.page {
			pages = append(pages, s.page)
		}
		if s.component != "" {
			components = append(components, mongodb.IDValues(s.component)...)
		}
	}
	if len(components) > 0 {
		filter = bson.D{{Key: "components", Value: isAny(components)}}
	}
	return append(filter, bson.E{Key: "page", Value: isAny(pages)})
}

// scopesOf are the scopes that an issue is about: its page, or its components.
func scopesOf(raw bson.Raw, components bool) (scopes []scope) {
	page, _ := raw.Lookup("page").StringValueOK()
	if !components {
		return []scope{{page: page}}
	}
	named, _ := raw.Lookup("components").ArrayOK()
	values, _ := named.Values()
	for _, v := range values {
		scopes = append(scopes, scope{page, mongodb.IDText(v)})
	}
	return scopes
}

// neverBegan reports whether an incident was over before the start that it was
// scheduled for.
func neverBegan(raw bson.Raw, end time.Time) bool {
	starts := dateAt(raw, "schedule.starts_at")
	return !end.IsZero() && !starts.IsZero() && !end.After(starts) && dateAt(raw, "began_at").IsZero()
}

// dateAt is the date at a path, zero when there is none.
func dateAt(raw bson.Raw, path string) time.Time {
	f := fields{raw: raw}
	if in, name, ok := strings.Cut(path, "."); ok {
		f.raw, _ = f.document(in)
		path = name
	}
	date := f.date(path)
	if f.err != nil {
		return time.Time{}
	}
	return date
}

// pastIncidents are the incidents that are over, other than by being
// cancelled, and whose end, before a moment, is said by the nth of ends.
func pastIncidents(n int, cutoff time.Time) bson.D {
	filter := bson.D{
		{Key: "kind", Value: bson.D{{Key: "$in", Value: bson.A{status.Incident, nil}}}},
		{Key: "cancelled_at", Value: nil},
	}
	for _, field := range ends[:n] {
		filter = append(filter, bson.E{Key: field, Value: nil})
	}
	filter = append(filter, bson.E{Key: ends[n], Value: before(cutoff)})
	// Without a kind, what has a schedule is a maintenance.
	isIncident := bson.D{{Key: "$or", Value: bson.A{
		bson.D{{Key: "kind", Value: status.Incident}},
		bson.D{{Key: "schedule", Value: nil}},
	}}}
	switch n {
	case 0: // it ends only what was resolved, or is scheduled
		return append(filter, bson.E{Key: "$and", Value: bson.A{isIncident, bson.D{{Key: "$or", Value: bson.A{
			bson.D{{Key: "resolved_at", Value: bson.D{{Key: "$ne", Value: nil}}}},
			bson.D{{Key: "schedule", Value: bson.D{{Key: "$ne", Value: nil}}}},
		}}}}})
	case 1:
		return append(filter, bson.E{Key: "$and", Value: bson.A{isIncident}})
	}
	filter[0].Value = status.Incident
	return filter
}
