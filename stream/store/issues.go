package store

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/schema"
	"statustail/stream/status"
)

// An IssueInput is a new issue.
type IssueInput struct {
	Page  string
	Title string
	Body  string // Markdown
	// Label is a word for where things stand. Empty: "Investigating", or
	// "Scheduled".
	Label string
	// Kind is incident, maintenance or informational. Empty: incident, or
	// maintenance when scheduled.
	Kind string
	// State is what the issue does to its components; empty: nothing.
	State string
	// Components are named by id or by name.
	Components []string
	// StartsAt and EndsAt are for scheduled issues; EndsAt may be zero.
	StartsAt, EndsAt time.Time
}

// OpenIssue opens an issue that affects now, and gives its id.
func (s *Store) OpenIssue(ctx context.Context, in IssueInput) (id string, err error) {
	if !in.StartsAt.IsZero() || !in.EndsAt.IsZero() {
		return "", invalid("schedule", "is only for scheduled issues")
	}
	in.Label, in.Kind = or(in.Label, "Investigating"), or(in.Kind, string(status.Incident))
	return s.insertIssue(ctx, in, func(now time.Time) bson.E { return bson.E{Key: "began_at", Value: now} })
}

// ScheduleIssue announces an issue that begins, and perhaps ends, by the
// clock, and gives its id.
func (s *Store) ScheduleIssue(ctx context.Context, in IssueInput) (id string, err error) {
	if err := checkSchedule(in.StartsAt, in.EndsAt); err != nil {
		return "", err
	}
	if !in.EndsAt.IsZero() && !in.EndsAt.After(s.clock()) {
		return "", invalid("schedule.ends_at", "has passed already")
	}
	in.Label, in.Kind = or(in.Label, "Scheduled"), or(in.Kind, string(status.Maintenance))
	schedule := bson.D{{Key: "starts_at", Value: in.StartsAt}}
	if !in.EndsAt.IsZero() {
		schedule = append(schedule, bson.E{Key: "ends_at", Value: in.EndsAt})
	}
	return s.insertIssue(ctx, in, func(time.Time) bson.E { return bson.E{Key: "schedule", Value: schedule} })
}

func (s *Store) insertIssue(ctx context.Context, in IssueInput, when func(now time.Time) bson.E) (string, error) {
	if err := CheckSlug(in.Page); err != nil {
		return "", err
	}
	if err := checkName("title", in.Title); err != nil {
		return "", err
	}
	if err := checkBody("body", in.Body); err != nil {
		return "", err
	}
	if err := checkLine("label", in.Label); err != nil {
		return "", err
	}
	if _, err := checkState("state", in.State); err != nil {
		return "", err
	}
	if err := checkKind(in.Kind); err != nil {
		return "", err
	}
	if err := s.requirePage(ctx, in.Page); err != nil {
		return "", err
	}
	components, err := s.componentIDs(ctx, in.Page, in.Components)
	if err != nil {
		return "", err
	}
	id, now := bson.NewObjectID(), s.clock()
	_, err = s.issues().InsertOne(ctx, bson.D{
		{Key: "_id", Value: id},
		{Key: "page", Value: in.Page},
		{Key: "title", Value: in.Title},
		{Key: "body", Value: in.Body},
		{Key: "label", Value: in.Label},
		{Key: "kind", Value: in.Kind},
		{Key: "state", Value: orNull(in.State)},
		{Key: "components", Value: components},
		when(now),
		{Key: "updates", Value: bson.A{}},
		{Key: "created_at", Value: now},
		{Key: "updated_at", Value: now},
	})
	if err != nil {
		return "", s.explain("open the issue", err)
	}
	s.changed(ctx, in.Page)
	return id.Hex(), nil
}

// An IssueUpdate is what there is to say about an issue. Any part may be
// absent, but not all.
type IssueUpdate struct {
	Label string
	Body  string // Markdown
	State string // what the issue does to its components from here on
	// Progress is in percent. It is the issue's; alone it is no entry in the
	// issue's story.
	Progress *int
}

// UpdateIssue adds an entry to an issue's story, sets its progress, or both.
// An issue that is over can have an epilogue.
func (s *Store) UpdateIssue(ctx context.Context, id string, in IssueUpdate) error {
	if err := checkBody("body", in.Body); err != nil {
		return err
	}
	if err := checkLine("label", in.Label); err != nil {
		return err
	}
	if _, err := checkState("state", in.State); err != nil {
		return err
	}
	if in.Progress != nil && (*in.Progress < 0 || *in.Progress > 100) {
		return invalid("progress", "is %d: want 0 to 100", *in.Progress)
	}
	entry := in.Label != "" || in.Body != "" || in.State != ""
	if !entry && in.Progress == nil {
		return invalid("update", "is empty: want a label, a body, a state or a progress")
	}
	issue, err := s.findIssue(ctx, id)
	if err != nil {
		return err
	}
	now := s.clock()
	set := bson.D{{Key: "updated_at", Value: now}}
	if in.Progress != nil {
		set = append(set, bson.E{Key: "progress", Value: int32(*in.Progress)})
	}
	update := bson.D{{Key: "$set", Value: set}}
	if entry {
		update = append(update, push(or(in.Label, "Update"), in.Body, in.State, now))
	}
	matched, err := s.updateIssue(ctx, issue, nil, update)
	if err == nil && !matched {
		return conflict("issue %s was deleted meanwhile", id)
	}
	return err
}

// ResolveIssue ends an issue that affects now.
func (s *Store) ResolveIssue(ctx context.Context, id, body string) error {
	return s.transition(ctx, id, body, "Resolved", func(_ bson.Raw, now time.Time) (guard, update, entry bson.D) {
		return bson.D{
				{Key: "resolved_at", Value: nil},
				{Key: "cancelled_at", Value: nil},
				{Key: "$or", Value: bson.A{
					bson.D{{Key: "schedule", Value: nil}},
					bson.D{{Key: "ended_at", Value: nil}, {Key: "$and", Value: bson.A{
						absentOr("schedule.ends_at", "$gt", now),
						bson.D{{Key: "$or", Value: bson.A{
							bson.D{{Key: "began_at", Value: bson.D{{Key: "$ne", Value: nil}}}},
							bson.D{{Key: "schedule.starts_at", Value: bson.D{{Key: "$lte", Value: now}}}},
						}}},
					}}},
				}},
			}, bson.D{
				{Key: "$set", Value: bson.D{{Key: "resolved_at", Value: now}, {Key: "updated_at", Value: now}}},
			}, nil
	})
}

// ReopenIssue takes back that an issue was resolved. One whose scheduled end
// has come stays over. The entry in the issue's story remembers when it was
// over, so that the time in between is no downtime.
func (s *Store) ReopenIssue(ctx context.Context, id, body string) error {
	return s.transition(ctx, id, body, "Reopened", func(issue bson.Raw, now time.Time) (guard, update, entry bson.D) {
		resolved := bson.E{Key: "resolved_at", Value: bson.D{{Key: "$ne", Value: nil}}}
		if at := dateAt(issue, "resolved_at"); !at.IsZero() {
			resolved.Value = at
			entry = bson.D{{Key: "resolved_at", Value: orElse(dateAt(issue, "ended_at"), at)}}
		}
		return bson.D{
				resolved,
				{Key: "cancelled_at", Value: nil},
				{Key: "$and", Value: bson.A{absentOr("schedule.ends_at", "$gt", now)}},
			}, bson.D{
				{Key: "$set", Value: bson.D{{Key: "updated_at", Value: now}}},
				{Key: "$unset", Value: bson.D{{Key: "resolved_at", Value: ""}, {Key: "ended_at", Value: ""}}},
			}, entry
	})
}

// CancelIssue calls off a scheduled issue that is not over.
func (s *Store) CancelIssue(ctx context.Context, id, body string) error {
	return s.transition(ctx, id, body, "Cancelled", func(_ bson.Raw, now time.Time) (guard, update, entry bson.D) {
		return bson.D{
				{Key: "schedule", Value: bson.D{{Key: "$ne", Value: nil}}},
				{Key: "resolved_at", Value: nil},
				{Key: "cancelled_at", Value: nil},
				{Key: "ended_at", Value: nil},
				{Key: "$and", Value: bson.A{absentOr("schedule.ends_at", "$gt", now)}},
			}, bson.D{
				{Key: "$set", Value: bson.D{{Key: "cancelled_at", Value: now}, {Key: "updated_at", Value: now}}},
			}, nil
	})
}

// transition makes an update with an entry in the issue's story if the issue
// is in a condition for it, checked and written in one operation.
func (s *Store) transition(ctx context.Context, id, body, label string, change func(issue bson.Raw, now time.Time) (guard, update, entry bson.D)) error {
	if err := checkBody("body", body); err != nil {
		return err
	}
	issue, err := s.findIssue(ctx, id)
	if err != nil {
		return err
	}
	now := s.clock()
	guard, update, entry := change(issue.raw, now)
	matched, err := s.updateIssue(ctx, issue, guard, append(update, push(label, body, "", now, entry...)))
	if err != nil || matched {
		return err
	}
	// Say why, by what it is now.
	if issue, err = s.findIssue(ctx, id); err != nil {
		return err
	}
	decoded, ok := s.decodeIssue(issue.raw)
	if !ok {
		return conflict("issue %s does not fit the schema: correct the document first", id)
	}
	return errorFor(label, id, decoded, now)
}

// errorFor says why an issue cannot become what label says.
func errorFor(label, id string, issue status.Issue, now time.Time) error {
	phase := issue.PhaseAt(now)
	switch {
	case phase == status.Cancelled:
		return conflict("issue %s is cancelled", id)
	case label == "Reopened" && phase == status.Resolved:
		return conflict("issue %s cannot be reopened: its scheduled end has come", id)
	case label == "Reopened" && phase.Open():
		return conflict("issue %s is not resolved", id)
	case phase == status.Resolved:
		return conflict("issue %s is already resolved", id)
	case phase == status.Ended:
		return conflict("issue %s has already ended", id)
	case label == "Resolved" && phase == status.Upcoming:
		return conflict("issue %s has not started: cancel it instead", id)
	case label == "Cancelled" && issue.Schedule == nil:
		return conflict("issue %s is not scheduled: resolve it instead", id)
	}
	return conflict("issue %s was changed by somebody else meanwhile: try again", id)
}

// updateIssue updates one issue if it still meets the guard.
func (s *Store) updateIssue(ctx context.Context, issue found, guard, update bson.D) (matched bool, err error) {
	filter := append(bson.D{{Key: "_id", Value: issue.id}}, guard...)
	result, err := s.issues().UpdateOne(ctx, filter, update)
	if err != nil {
		return false, s.explain("update the issue", err)
	}
	if result.MatchedCount == 0 {
		return false, nil
	}
	if page, ok := issue.raw.Lookup("page").StringValueOK(); ok {
		s.changed(ctx, page)
	}
	return true, nil
}

func (s *Store) findIssue(ctx context.Context, id string) (found, error) {
	if err := checkName("issue", id); err != nil {
		return found{}, err
	}
	all, err := findIDs(ctx, s.issues(), id)
	switch {
	case err != nil:
		return found{}, s.explain("find the issue", err)
	case len(all) == 0:
		return found{}, &NotFoundError{Reason: fmt.Sprintf("there is no issue %s in database %q", clip(id), s.db.Name())}
	case len(all) > 1:
		return found{}, conflict("there are several issues %s, with ids of different types", id)
	}
	return all[0], nil
}

// push appends an entry to an issue's story, and cuts its beginning off where
// that has become too long.
func push(label, body, state string, now time.Time, more ...bson.E) bson.E {
	entry := append(bson.D{
		{Key: "_id", Value: bson.NewObjectID()},
		{Key: "label", Value: label},
		{Key: "body", Value: body},
		{Key: "state", Value: orNull(state)},
		{Key: "created_at", Value: now},
	}, more...)
	return bson.E{Key: "$push", Value: bson.D{{Key: "updates", Value: newest(entry, schema.MaxUpdates)}}}
}

// newest is what $push makes a list that holds no more than its newest n.
func newest(entry bson.D, n int) bson.D {
	return bson.D{{Key: "$each", Value: bson.A{entry}}, {Key: "$slice", Value: -n}}
}

// stateChange is an entry of a component's history.
func stateChange(state status.State, at time.Time) bson.D {
	return bson.D{{Key: "state", Value: state.String()}, {Key: "at", Value: at}}
}

func absentOr(field, operator string, value any) bson.D {
	return bson.D{{Key: "$or", Value: bson.A{
		bson.D{{Key: field, Value: nil}},
		bson.D{{Key: field, Value: bson.D{{Key: operator, Value: value}}}},
	}}}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func orElse(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
