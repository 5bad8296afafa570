package store

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/mongodb"
	"statustail/stream/schema"
	"statustail/stream/status"
)

// A PageInput is what a page is to be. Parts other than ID that are nil or, of
// the name, empty stay as they are on a page that exists.
type PageInput struct {
	ID   string // the slug
	Name string
	// URL, Locale and TimeZone are taken away when they are empty.
	URL      *string
	Locale   *string // a BCP 47 language tag
	TimeZone *string // an IANA time zone
	// Hosts and Origins replace those of the page. Empty but not nil: none.
	Hosts   []string
	Origins []string
	Private *bool
}

// PutPage creates or changes a page, and says which. A new one needs a name.
func (s *Store) PutPage(ctx context.Context, in PageInput) (created bool, err error) {
	if in.Name == "" {
		err := s.EditPage(ctx, in)
		if missing := (*NotFoundError)(nil); errors.As(err, &missing) {
			missing.Reason += ", and a new one needs a name"
		}
		return false, err
	}
	change, err := in.changes()
	if err != nil {
		return false, err
	}
	now := s.clock()
	result, err := s.pages().UpdateOne(ctx, bson.D{{Key: "_id", Value: in.ID}},
		append(change.update(now), bson.E{Key: "$setOnInsert", Value: bson.D{{Key: "created_at", Value: now}}}),
		options.UpdateOne().SetUpsert(true))
	if err != nil {
		return false, s.explain("put page "+in.ID, err)
	}
	s.changed(ctx, in.ID)
	return result.UpsertedCount > 0, nil
}

func (in *PageInput) changes() (c changeSet, err error) {
	if err := CheckSlug(in.ID); err != nil {
		return c, err
	}
	if in.Name != "" {
		if err := checkName("name", in.Name); err != nil {
			return c, err
		}
		c.put("name", in.Name)
	}
	if err := c.optional("url", in.URL, func(s string) error { return checkURL("url", s) }); err != nil {
		return c, err
	}
	for _, list := range []struct {
		field  string
		values []string
		check  func(string) error
	}{{"hosts", in.Hosts, checkHost}, {"origins", in.Origins, checkOrigin}} {
		if list.values == nil {
			continue
		}
		lower := make([]string, 0, len(list.values))
		for _, v := range list.values {
			v = sentOrigin(v) // of a host it is the host in lower case
			if err := list.check(v); err != nil {
				return c, err
			}
			lower = append(lower, v)
		}
		c.put(list.field, lower)
	}
	if in.Private != nil {
		c.put("private", *in.Private)
	}
	if err := c.optional("locale", in.Locale, checkLocale); err != nil {
		return c, err
	}
	return c, c.optional("time_zone", in.TimeZone, checkTimeZone)
}

// A ComponentInput is what a component is to be. Fields that are nil stay as
// they are on a component that exists.
type ComponentInput struct {
	Page string
	// Name says which component is meant; there is one of that name after.
	Name        string
	Description *string // Markdown
	Group       *string
	Position    *int // nil for a new one: the last
}

// PutComponent creates or changes a component, and says which. A new one is
// operational.
func (s *Store) PutComponent(ctx context.Context, in ComponentInput) (id string, created bool, err error) {
	if err := CheckSlug(in.Page); err != nil {
		return "", false, err
	}
	if err := checkName("name", in.Name); err != nil {
		return "", false, err
	}
	change, err := in.changes()
	if err != nil {
		return "", false, err
	}
	if err := s.requirePage(ctx, in.Page); err != nil {
		return "", false, err
	}

	id, created, err = s.putComponent(ctx, in, change)
	if mongo.IsDuplicateKeyError(err) { // made by another writer just now
		id, created, err = s.putComponent(ctx, in, change)
	}
	if err != nil {
		return "", false, err
	}
	s.changed(ctx, in.Page)
	return id, created, nil
}

// changes are those to all parts but the name, which in a ComponentInput says
// which component is meant or is a new one.
func (in *ComponentInput) changes() (c changeSet, err error) {
	if in.Description != nil {
		if err := checkBody("description", *in.Description); err != nil {
			return c, err
		}
		c.put("description", *in.Description)
	}
	if in.Group != nil {
		if err := checkLine("group", *in.Group); err != nil {
			return c, err
		}
		c.put("group", *in.Group)
	}
	if in.Position != nil {
		c.put("position", int32(*in.Position))
	}
	return c, nil
}

func (s *Store) putComponent(ctx context.Context, in ComponentInput, change changeSet) (id string, created bool, err error) {
	c, err := s.findComponent(ctx, in.Page, in.Name)
	now := s.clock()
	var missing *NotFoundError
	if err == nil {
		_, err = s.components().UpdateOne(ctx, bson.D{{Key: "_id", Value: c.id}}, change.update(now))
		return mongodb.IDText(c.id), false, s.explain("put component "+in.Name, err)
	}
	if !errors.As(err, &missing) {
		return "", false, err
	}
	doc := slices.Clone(change.set)
	if in.Position == nil {
		last, err := s.lastPosition(ctx, in.Page)
		if err != nil {
			return "", false, err
		}
		doc = append(doc, bson.E{Key: "position", Value: last + 1})
	}
	oid := bson.NewObjectID()
	_, err = s.components().InsertOne(ctx, append(bson.D{
		{Key: "_id", Value: oid},
		{Key: "page", Value: in.Page},
		{Key: "name", Value: in.Name},
		{Key: "state", Value: status.Operational.String()},
		{Key: "history", Value: bson.A{stateChange(status.Operational, now)}},
		{Key: "created_at", Value: now},
		{Key: "updated_at", Value: now},
	}, doc...))
	return oid.Hex(), true, s.explain("put component "+in.Name, err)
}

func (s *Store) lastPosition(ctx context.Context, page string) (int32, error) {
	last := 0
	cursor, err := s.components().Find(ctx, bson.D{{Key: "page", Value: page}}, options.Find().SetProjection(include("position")))
	if err == nil {
		err = drain(ctx, cursor, func(raw bson.Raw) {
			f := fields{raw: raw}
			n, _ := f.number("position", 0, 1<<30)
			last = max(last, n)
		})
	}
	return int32(last), s.explain("find the last component", err)
}

// SetComponentState sets a component's state, and remembers in the same
// operation since when. The component is named by its id or its name. It
// changes nothing, and says so, when that is the state already.
func (s *Store) SetComponentState(ctx context.Context, page, component, state string) (changed bool, err error) {
	want, err := checkState("state", state)
	if err != nil {
		return false, err
	}
	if want == status.Pending {
		return false, invalid("state", "is missing: want operational, degraded, partial_outage or outage")
	}
	if err := s.requirePage(ctx, page); err != nil {
		return false, err
	}
	c, err := s.findComponent(ctx, page, component)
	if err != nil {
		return false, err
	}
	now := s.clock()
	result, err := s.components().UpdateOne(ctx,
		bson.D{{Key: "_id", Value: c.id}, {Key: "state", Value: bson.D{{Key: "$ne", Value: state}}}},
		bson.D{
			{Key: "$set", Value: bson.D{{Key: "state", Value: state}, {Key: "updated_at", Value: now}}},
			{Key: "$push", Value: bson.D{{Key: "history", Value: newest(stateChange(want, now), schema.MaxHistory)}}},
		})
	if err != nil {
		return false, s.explain("set the state of component "+component, err)
	}
	if result.MatchedCount == 0 {
		return false, nil
	}
	s.changed(ctx, page)
	return true, nil
}
