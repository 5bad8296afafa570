package store

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/idtext"
	"statustail/stream/status"
)

// Which issues a load wants is decided by these two filters, which divide
// them in two by the rules of status.Issue.PhaseAt: an issue is over when it
// was resolved or cancelled, and, being scheduled, also when it has ended or
// its end has come.

// recentIssues are those standing, upcoming, or over no earlier than cutoff.
// What is of a wrong type counts as absent, so that decoding sees it.
func recentIssues(slugs []string, cutoff time.Time) bson.D {
	notBefore := bson.D{{Key: "$not", Value: before(cutoff)}}
	return bson.D{
		{Key: "page", Value: in(slugs)},
		{Key: "resolved_at", Value: notBefore},
		{Key: "cancelled_at", Value: notBefore},
		{Key: "schedule.ends_at", Value: notBefore},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: "schedule", Value: nil}},
			bson.D{{Key: "ended_at", Value: notBefore}},
		}},
	}
}

// pastIncidents are the incidents that were over, other than by being
// cancelled, before cutoff.
func pastIncidents(slugs []string, cutoff time.Time) bson.D {
	return bson.D{
		{Key: "page", Value: in(slugs)},
		{Key: "cancelled_at", Value: nil},
		{Key: "$and", Value: bson.A{
			bson.D{{Key: "$or", Value: bson.A{
				bson.D{{Key: "kind", Value: status.Incident}},
				bson.D{{Key: "kind", Value: nil}, {Key: "schedule", Value: nil}},
			}}},
			bson.D{{Key: "$or", Value: bson.A{
				bson.D{{Key: "resolved_at", Value: before(cutoff)}},
				bson.D{{Key: "schedule.ends_at", Value: before(cutoff)}},
				bson.D{
					{Key: "schedule", Value: bson.D{{Key: "$ne", Value: nil}}},
					{Key: "ended_at", Value: before(cutoff)},
				},
			}}},
		}},
	}
}

func before(t time.Time) bson.D { return bson.D{{Key: "$lt", Value: t}} }

// loadPastIncidents finds when the newest of each component's past incidents
// ended: on the server, where it knows how.
func (s *Store) loadPastIncidents(ctx context.Context, slugs []string, cutoff time.Time, into map[string]status.Page) error {
	note := func(slug, component string, end time.Time) {
		p, ok := into[slug]
		if !ok || end.IsZero() {
			return
		}
		if p.PastIncidents == nil {
			p.PastIncidents = map[string]time.Time{}
			into[slug] = p
		}
		if end.After(p.PastIncidents[component]) {
			p.PastIncidents[component] = end
		}
	}
	filter := pastIncidents(slugs, cutoff)
	s.mu.Lock()
	noMax := s.noMax
	s.mu.Unlock()
	if !noMax {
		err := s.groupPastIncidents(ctx, filter, note)
		if !isNotImplemented(err) {
			return err
		}
		// The embedded database can count and add up, but knows no $max.
		s.mu.Lock()
		s.noMax = true
		s.mu.Unlock()
	}
	return s.scanPastIncidents(ctx, filter, note)
}

func (s *Store) groupPastIncidents(ctx context.Context, filter bson.D, note func(slug, component string, end time.Time)) error {
	cursor, err := s.issues().Aggregate(ctx, bson.A{
		bson.D{{Key: "$match", Value: filter}},
		bson.D{{Key: "$unwind", Value: bson.D{
			{Key: "path", Value: "$components"}, {Key: "preserveNullAndEmptyArrays", Value: true},
		}}},
		bson.D{{Key: "$group", Value: bson.D{
			{Key: "_id", Value: bson.D{{Key: "page", Value: "$page"}, {Key: "component", Value: "$components"}}},
			{Key: "end", Value: bson.D{{Key: "$max", Value: bson.D{{Key: "$ifNull", Value: bson.A{
				"$ended_at", bson.D{{Key: "$ifNull", Value: bson.A{"$resolved_at", "$schedule.ends_at"}}},
			}}}}}},
		}}},
	})
	if err != nil {
		return err
	}
	return drain(ctx, cursor, func(raw bson.Raw) {
		f := fields{raw: raw}
		if end := f.date("end"); f.err == nil {
			slug, _ := raw.Lookup("_id", "page").StringValueOK()
			note(slug, idtext.Of(raw.Lookup("_id", "component")), end)
		}
	})
}

func (s *Store) scanPastIncidents(ctx context.Context, filter bson.D, note func(slug, component string, end time.Time)) error {
	projection := bson.D{
		{Key: "page", Value: 1}, {Key: "components", Value: 1},
		{Key: "ended_at", Value: 1}, {Key: "resolved_at", Value: 1}, {Key: "schedule", Value: 1},
	}
	return each(ctx, s.issues(), filter, projection, func(raw bson.Raw) {
		f := fields{raw: raw}
		slug := f.text("page")
		end := f.date("ended_at")
		if end.IsZero() {
			end = f.date("resolved_at")
		}
		if doc, ok := f.document("schedule"); ok && end.IsZero() {
			e := fields{raw: doc}
			end = e.date("ends_at")
		}
		if f.err != nil {
			return
		}
		named := false
		f.each("components", func(v bson.RawValue) error {
			named = true
			note(slug, idtext.Of(v), end)
			return nil
		}, func(error) {})
		if !named {
			note(slug, "", end)
		}
	})
}
