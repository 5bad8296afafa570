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
// that had none, and its inner maps are what status.Page.PastIncidents is.
//
// For one page, or one component, it is three reads of one document each, all
// on one index. For many pages at once it is a few more, of no more than four
// documents for each page: what it costs does not grow with the history.
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

// pastChunk is how many pages or components are asked for together: MongoDB
// merges so many ranges of an index in order as 200 pairs of a value and a kind
// make (internalQueryMaxScansToExplode), and a component's id may stand for
// two values.
const pastChunk = 50

// past is a run of such reads.
type past struct {
	*reader
	before time.Time
	ended  map[string]map[string]time.Time
}

func (p *past) find(wanted map[string][]string) error {
	var pages []string
	for _, slug := range slices.Sorted(maps.Keys(wanted)) {
		if !schema.IsSlug(slug) {
			continue
		}
		components := slices.DeleteFunc(slices.Clone(wanted[slug]), func(id string) bool { return id == "" })
		if len(components) < len(wanted[slug]) {
			pages = append(pages, slug)
		}
		for some := range slices.Chunk(components, pastChunk) {
			if err := p.ofComponents(slug, some); err != nil {
				return err
			}
		}
	}
	for some := range slices.Chunk(pages, pastChunk) {
		if err := p.ofPages(some); err != nil {
			return err
		}
	}
	return nil
}

func (p *past) note(slug, component string, end time.Time) {
	if p.ended[slug] == nil {
		p.ended[slug] = map[string]time.Time{}
	}
	if end.After(p.ended[slug][component]) {
		p.ended[slug][component] = end
	}
}

func (p *past) ofPages(slugs []string) error {
	return p.newest(slugs, func(missing []string) bson.D {
		return bson.D{{Key: "page", Value: isAny(missing)}}
	}, func(raw bson.Raw, end time.Time, answered func(string)) {
		slug, _ := raw.Lookup("page").StringValueOK()
		p.note(slug, "", end)
		answered(slug)
	})
}

func (p *past) ofComponents(slug string, ids []string) error {
	return p.newest(ids, func(missing []string) bson.D {
		var values []any
		for _, id := range missing {
			values = append(values, mongodb.IDValues(id)...)
		}
		return bson.D{{Key: "components", Value: isAny(values)}, {Key: "page", Value: slug}}
	}, func(raw bson.Raw, end time.Time, answered func(string)) {
		named, _ := raw.Lookup("components").ArrayOK()
		values, _ := named.Values()
		for _, v := range values {
			if id := mongodb.IDText(v); slices.Contains(ids, id) {
				p.note(slug, id, end)
				answered(id)
			}
		}
	})
}

// ends are the fields that say when an incident ended, each where those before
// it do not. Together with the kind, in this order, they are the index of
// these reads.
var ends = []string{"ended_at", "resolved_at", "schedule.ends_at"}

// newest reads, for each of the ends, the newest incidents until each of what
// is asked for has been answered or has none. One read asks for a few
// documents more than answers are missing, because one page may have several
// of the newest; what is still missing then is asked for without the others.
func (p *past) newest(asked []string, of func(missing []string) bson.D, note func(raw bson.Raw, end time.Time, answered func(string))) error {
	for n, field := range ends {
		missing := slices.Clone(asked)
		for len(missing) > 0 {
			limit := 1
			if len(missing) > 1 {
				limit = 4 * len(missing)
			}
			filter := append(of(missing), pastIncidents(n, p.before)...)
			opts := options.Find().SetSort(bson.D{{Key: field, Value: -1}}).SetLimit(int64(limit)).
				SetProjection(include("page", "components", field))
			got, answered := 0, map[string]bool{}
			err := p.reader.find(p.store.issues(), filter, opts, func(raw bson.Raw) {
				got++
				if end := dateAt(raw, field); !end.IsZero() {
					note(raw, end, func(what string) { answered[what] = true })
				}
			})
			if err != nil {
				return err
			}
			missing = slices.DeleteFunc(missing, func(what string) bool { return answered[what] })
			if got < limit || len(answered) == 0 {
				break
			}
		}
	}
	return nil
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
