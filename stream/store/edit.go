package store

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"statustail/stream/mongodb"
	"statustail/stream/status"
)

// A changeSet collects what an update sets and takes away.
type changeSet struct{ set, unset bson.D }

func (c *changeSet) put(field string, value any) {
	c.set = append(c.set, bson.E{Key: field, Value: value})
}

// optional sets a text, takes it away when it is empty, and leaves it as it is
// when it is nil.
func (c *changeSet) optional(field string, text *string, check func(string) error) error {
	switch {
	case text == nil:
	case *text == "":
		c.unset = append(c.unset, bson.E{Key: field, Value: ""})
	default:
		if err := check(*text); err != nil {
			return err
		}
		c.put(field, *text)
	}
	return nil
}

func (c *changeSet) empty() bool { return len(c.set)+len(c.unset) == 0 }

// update is the update document, which also says when it was made.
func (c *changeSet) update(now time.Time) bson.D {
	update := bson.D{{Key: "$set", Value: append(c.set, bson.E{Key: "updated_at", Value: now})}}
	if len(c.unset) > 0 {
		update = append(update, bson.E{Key: "$unset", Value: c.unset})
	}
	return update
}

func nothingToChange(what string) error {
	return invalid("edit", "is empty: want something of the %s to change", what)
}

// EditPage changes the given parts of a page that exists.
func (s *Store) EditPage(ctx context.Context, in PageInput) error {
	change, err := in.changes()
	if err != nil {
		return err
	}
	if change.empty() {
		return nothingToChange("page")
	}
	result, err := s.pages().UpdateOne(ctx, bson.D{{Key: "_id", Value: in.ID}}, change.update(s.clock()))
	if err != nil {
		return s.explain("edit page "+in.ID, err)
	}
	if result.MatchedCount == 0 {
		return s.noPage(in.ID)
	}
	s.changed(ctx, in.ID)
	return nil
}

// EditComponent changes the given parts of a component, which is named by its
// id or its name, and gives its id. A Name in the input is its new one.
func (s *Store) EditComponent(ctx context.Context, component string, in ComponentInput) (id string, err error) {
	change, err := in.changes()
	if err != nil {
		return "", err
	}
	if in.Name != "" {
		if err := checkName("name", in.Name); err != nil {
			return "", err
		}
		change.put("name", in.Name)
	}
	if change.empty() {
		return "", nothingToChange("component")
	}
	if err := s.requirePage(ctx, in.Page); err != nil {
		return "", err
	}
	c, err := s.findComponent(ctx, in.Page, component)
	if err != nil {
		return "", err
	}
	result, err := s.components().UpdateOne(ctx, bson.D{{Key: "_id", Value: c.id}}, change.update(s.clock()))
	switch {
	case mongo.IsDuplicateKeyError(err):
		return "", conflict("page %q has a component %q already", in.Page, in.Name)
	case err != nil:
		return "", s.explain("edit component "+component, err)
	case result.MatchedCount == 0:
		return "", conflict("component %s was deleted meanwhile", component)
	}
	s.changed(ctx, in.Page)
	return mongodb.IDText(c.id), nil
}

// An IssueEdit is what an issue itself is to say from now on. Parts that are
// nil stay as they are. The story that its updates tell is left alone.
type IssueEdit struct {
	Title *string
	Body  *string // Markdown
	Label *string
	Kind  *string // incident, maintenance or informational
	// State is what the issue does to its components until an update says
	// otherwise; empty: nothing.
	State *string
	// Components are named by id or by name. Empty but not nil: none.
	Components []string
	// StartsAt and EndsAt move a schedule; a zero EndsAt leaves it open.
	StartsAt, EndsAt *time.Time
}

func (in *IssueEdit) changes() (c changeSet, err error) {
	if in.Title != nil {
		if err := checkName("title", *in.Title); err != nil {
			return c, err
		}
		c.put("title", *in.Title)
	}
	if err := c.optional("body", in.Body, func(s string) error { return checkBody("body", s) }); err != nil {
		return c, err
	}
	if err := c.optional("label", in.Label, func(s string) error { return checkLine("label", s) }); err != nil {
		return c, err
	}
	if in.Kind != nil {
		if err := checkKind(*in.Kind); err != nil {
			return c, err
		}
		c.put("kind", *in.Kind)
	}
	return c, c.optional("state", in.State, func(s string) error {
		_, err := checkState("state", s)
		return err
	})
}

// EditIssue changes the given parts of an issue.
func (s *Store) EditIssue(ctx context.Context, id string, in IssueEdit) error {
	change, err := in.changes()
	if err != nil {
		return err
	}
	if change.empty() && in.Components == nil && in.StartsAt == nil && in.EndsAt == nil {
		return nothingToChange("issue")
	}
	issue, err := s.findIssue(ctx, id)
	if err != nil {
		return err
	}
	if in.Components != nil {
		page, _ := issue.raw.Lookup("page").StringValueOK()
		components, err := s.componentIDs(ctx, page, in.Components)
		if err != nil {
			return err
		}
		change.put("components", components)
	}
	var guard bson.D
	if in.StartsAt != nil || in.EndsAt != nil {
		starts := dateOr(in.StartsAt, dateAt(issue.raw, "schedule.starts_at"))
		ends := dateOr(in.EndsAt, dateAt(issue.raw, "schedule.ends_at"))
		if (&fields{raw: issue.raw}).absent("schedule") {
			return conflict("issue %s is not scheduled: it has no times to move", id)
		}
		if err := checkSchedule(starts, ends); err != nil {
			return err
		}
		guard = bson.D{{Key: "schedule", Value: bson.D{{Key: "$ne", Value: nil}}}}
		change.put("schedule.starts_at", starts)
		if ends.IsZero() {
			change.unset = append(change.unset, bson.E{Key: "schedule.ends_at", Value: ""})
		} else {
			change.put("schedule.ends_at", ends)
		}
	}
	matched, err := s.updateIssue(ctx, issue, guard, change.update(s.clock()))
	if err == nil && !matched {
		return conflict("issue %s was changed by somebody else meanwhile: try again", id)
	}
	return err
}

func checkKind(kind string) error {
	switch status.Kind(kind) {
	case status.Incident, status.Maintenance, status.Informational:
		return nil
	}
	return invalid("kind", "%q: want incident, maintenance or informational", clip(kind))
}

// componentIDs finds the components of a page that people mean, each once.
func (s *Store) componentIDs(ctx context.Context, page string, refs []string) (bson.A, error) {
	ids, seen := bson.A{}, map[string]bool{}
	for _, ref := range refs {
		c, err := s.findComponent(ctx, page, ref)
		if err != nil {
			return nil, err
		}
		if id := mongodb.IDText(c.id); !seen[id] {
			seen[id] = true
			ids = append(ids, c.id)
		}
	}
	return ids, nil
}

func (s *Store) noPage(slug string) error {
	return &NotFoundError{Reason: fmt.Sprintf("there is no page %q in database %q", slug, s.db.Name())}
}
