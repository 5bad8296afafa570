package store

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/mongodb"
	"statustail/stream/schema"
	"statustail/stream/status"
)

// A document that does not fit the schema is left out as a whole, because
// half of it may say the opposite of what was meant. The exceptions are the
// elements of arrays (updates, history, hosts, origins, the components that
// an issue names), which stand for themselves, and what only embellishes a
// page: one bad update hides that update and no incident, and a bad address
// hides a link and no page.

// decodePage reads a document of pages.
func (s *Store) decodePage(raw bson.Raw) (status.Page, error) {
	f := fields{raw: raw}
	drop := s.dropper(schema.Pages, raw)
	p := status.Page{
		ID:        mongodb.IDText(raw.Lookup("_id")),
		Name:      f.name("name"),
		Private:   f.flag("private"),
		CreatedAt: f.created(),
	}
	p.URL = f.extra("url", func(v string) error {
		if checkURL("url", v) != nil {
			return errors.New("url: is not an http or https address")
		}
		return nil
	}, drop)
	p.Locale = f.extra("locale", nil, drop)
	p.TimeZone = f.extra("time_zone", nil, drop)
	if !schema.IsSlug(p.ID) {
		f.fail("_id", "is not a slug")
	}
	f.each("hosts", func(v bson.RawValue) error {
		host, ok := v.StringValueOK()
		if !ok {
			return wrongType(v, "a string")
		}
		if host = strings.ToLower(host); checkHost(host) != nil {
			return errors.New("is not a host name")
		}
		p.Hosts = append(p.Hosts, host)
		return nil
	}, drop)
	f.each("origins", func(v bson.RawValue) error {
		origin, ok := v.StringValueOK()
		if !ok {
			return wrongType(v, "a string")
		}
		if origin = sentOrigin(origin); checkOrigin(origin) != nil {
			return errors.New("is not an origin such as https://example.com, nor *")
		}
		p.Origins = append(p.Origins, origin)
		return nil
	}, drop)
	s.fits(schema.Pages, raw, f.err)
	return p, f.err
}

// decodeComponent reads a document of components.
func (s *Store) decodeComponent(raw bson.Raw) (c status.Component, ok bool) {
	f := fields{raw: raw}
	drop := s.dropper(schema.Components, raw)
	c = status.Component{
		ID:        mongodb.IDText(raw.Lookup("_id")),
		Name:      f.name("name"),
		Group:     f.text("group"),
		State:     f.state("state"),
		CreatedAt: f.created(),
	}
	f.name("page")
	description := f.text("description")
	c.Position, _ = f.number("position", math.MinInt32, math.MaxInt32)
	f.newest("history", schema.MaxHistory, func(v bson.RawValue) error {
		doc, ok := v.DocumentOK()
		if !ok {
			return errNotDocument
		}
		e := fields{raw: doc}
		entry := status.StateChange{State: e.state("state"), At: e.date("at")}
		if entry.At.IsZero() {
			e.fail("at", "is missing")
		}
		if e.err == nil {
			c.History = append(c.History, entry)
		}
		return e.err
	}, drop)
	if !s.fits(schema.Components, raw, f.err) {
		return c, false
	}
	c.Description = s.texts.render(description)
	return c, true
}

// decodeIssue reads a document of issues.
func (s *Store) decodeIssue(raw bson.Raw) (i status.Issue, ok bool) {
	f := fields{raw: raw}
	drop := s.dropper(schema.Issues, raw)
	i = status.Issue{
		ID:          mongodb.IDText(raw.Lookup("_id")),
		Title:       f.name("title"),
		Label:       f.text("label"),
		State:       f.state("state"),
		CreatedAt:   f.created(),
		UpdatedAt:   f.date("updated_at"),
		BeganAt:     f.date("began_at"),
		EndedAt:     f.date("ended_at"),
		ResolvedAt:  f.date("resolved_at"),
		CancelledAt: f.date("cancelled_at"),
	}
	f.name("page")
	body := f.text("body")
	if i.CreatedAt.IsZero() {
		f.fail("created_at", "is missing")
	}
	if n, ok := f.number("progress", 0, 100); ok {
		i.Progress = &n
	}
	if doc, ok := f.document("schedule"); ok {
		e := fields{raw: doc}
		i.Schedule = &status.Schedule{StartsAt: e.date("starts_at"), EndsAt: e.date("ends_at")}
		if i.Schedule.StartsAt.IsZero() {
			e.fail("starts_at", "is missing")
		}
		if e.err != nil {
			f.fail("schedule", "%v", e.err)
		}
	}
	switch kind := status.Kind(f.text("kind")); {
	case kind == "" && i.Schedule != nil:
		i.Kind = status.Maintenance
	case kind == "":
		i.Kind = status.Incident
	case kind == status.Incident, kind == status.Maintenance, kind == status.Informational:
		i.Kind = kind
	default:
		f.fail("kind", "is %q, want incident, maintenance or informational", clip(string(kind)))
	}
	f.each("components", func(v bson.RawValue) error {
		id := mongodb.IDText(v)
		if id == "" {
			return wrongType(v, "the id of a component")
		}
		i.Components = append(i.Components, id)
		return nil
	}, drop)
	f.newest("updates", schema.MaxUpdates, func(v bson.RawValue) error {
		doc, ok := v.DocumentOK()
		if !ok {
			return errNotDocument
		}
		e := fields{raw: doc}
		u := status.Update{
			ID:         mongodb.IDText(doc.Lookup("_id")),
			Label:      e.text("label"),
			State:      e.state("state"),
			CreatedAt:  e.created(),
			ResolvedAt: e.date("resolved_at"),
		}
		body := e.text("body")
		if u.CreatedAt.IsZero() {
			e.fail("created_at", "is missing")
		}
		if e.err == nil {
			if u.ID == "" {
				u.ID = madeUpID(i.Updates, u.CreatedAt)
			}
			u.Body = s.texts.render(body)
			i.Updates = append(i.Updates, u)
		}
		return e.err
	}, drop)
	if !s.fits(schema.Issues, raw, f.err) {
		return i, false
	}
	i.Body = s.texts.render(body)
	return i, true
}

// madeUpID is for an update that was pushed without an _id: the same at every
// read, as long as nobody takes one of the same millisecond away before it.
func madeUpID(before []status.Update, created time.Time) string {
	id := fmt.Sprintf("at-%d", created.UnixMilli())
	for slices.ContainsFunc(before, func(u status.Update) bool { return u.ID == id }) {
		id += "+"
	}
	return id
}

func (s *Store) fits(collection string, raw bson.Raw, err error) bool {
	if err != nil {
		s.invalid.skipped(collection, mongodb.IDText(raw.Lookup("_id")), err)
	}
	return err == nil
}

func (s *Store) dropper(collection string, raw bson.Raw) func(error) {
	return func(err error) { s.fits(collection, raw, err) }
}
