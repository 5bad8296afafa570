package store

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/markdown"
	"statustail/stream/schema"
	"statustail/stream/status"
)

// decoder is a store that only decodes; what it complains about goes to log.
func decoder(t testing.TB, reg prometheus.Registerer) (s *Store, log *bytes.Buffer) {
	t.Helper()
	log = &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return &Store{now: time.Now, log: logger, invalid: newInvalidDocuments(logger, reg), texts: newTextCache(0)}, log
}

func raw(t testing.TB, doc any) bson.Raw {
	t.Helper()
	b, err := bson.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type m = bson.M

var (
	someDay = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	anID, _ = bson.ObjectIDFromHex("65f000000000000000000001")
)

// A case is a document, and the reason why it is refused; what is dropped in
// it is named too, with keeps set.
type decodeCase struct {
	doc    m
	reason string
	keeps  bool
}

var decodeCases = map[string][]decodeCase{
	schema.Pages: {
		{doc: m{"_id": "acme", "name": "Acme"}},
		{doc: m{"_id": "acme", "name": "Acme", "hosts": nil, "private": nil, "created_at": someDay, "updated_at": someDay, "own": 1}},
		{doc: m{"_id": "acme", "name": "Acme", "hosts": []any{"status.acme.com"}, "origins": []any{"*", "https://acme.com"},
			"private": true, "locale": "en", "time_zone": "UTC", "url": "https://acme.com"}},
		{doc: m{"_id": "Acme", "name": "Acme"}, reason: "_id: is not a slug"},
		{doc: m{"_id": 5, "name": ""}, reason: "name: is missing"},
		{doc: m{"_id": "acme"}, reason: "name: is missing"},
		{doc: m{"_id": "acme", "name": 5}, reason: "name: is of type 32-bit integer, want a string"},
		{doc: m{"_id": "acme", "name": "Acme", "private": "yes"}, reason: "private: is of type string, want true or false"},
		{doc: m{"_id": "acme", "name": "Acme", "private": 1}, reason: "private: is of type 32-bit integer, want true or false"},
		{doc: m{"_id": "acme", "name": "Acme", "created_at": "2026"}, reason: "created_at: is of type string, want a date"},
		{doc: m{"_id": "acme", "name": "Acme", "hosts": "acme.com"}, reason: "hosts: is of type string, want an array"},
		{doc: m{"_id": "acme", "name": "Acme", "url": "javascript:alert(1)"}, reason: "url: is not an http or https address", keeps: true},
		{doc: m{"_id": "acme", "name": "Acme", "locale": 5}, reason: "locale: is of type 32-bit integer, want a string", keeps: true},
		{doc: m{"_id": "acme", "name": "Acme", "origins": []any{"https://a.com", "https://b.com/path"}}, reason: "origins.1: is not an origin such as https://example.com, nor *", keeps: true},
		{doc: m{"_id": "acme", "name": "Acme", "hosts": []any{7}}, reason: "hosts.0: is of type 32-bit integer, want a string", keeps: true},
	},
	schema.Components: {
		{doc: m{"_id": anID, "page": "acme", "name": "API", "state": "operational", "position": 3.0, "group": "Core", "description": "*x*",
			"history": []any{m{"state": "outage", "at": someDay}, m{"state": nil, "at": someDay}}, "created_at": someDay}},
		{doc: m{"_id": "api", "page": "acme", "name": "API"}},
		{doc: m{"_id": "api", "page": "acme", "name": "API", "position": int64(-1), "state": nil, "history": nil}},
		{doc: m{"_id": "api", "name": "API"}, reason: "page: is missing"},
		{doc: m{"_id": "api", "page": "acme", "name": "API", "state": "down"}, reason: `state: is \"down\", want operational, degraded, partial_outage or outage`},
		{doc: m{"_id": "api", "page": "acme", "name": "API", "position": "first"}, reason: "position: is of type string, want a number"},
		{doc: m{"_id": "api", "page": "acme", "name": "API", "history": m{}}, reason: "history: is of type embedded document, want an array"},
		{doc: m{"_id": "api", "page": "acme", "name": "API", "history": []any{m{"state": "outage"}}}, reason: "history.0: at: is missing", keeps: true},
		{doc: m{"_id": "api", "page": "acme", "name": "API", "history": []any{"outage"}}, reason: "history.0: want a document", keeps: true},
	},
	schema.Issues: {
		{doc: m{"_id": anID, "page": "acme", "title": "Bad", "created_at": someDay}},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad", "created_at": someDay, "kind": "maintenance", "state": "degraded",
			"schedule": m{"starts_at": someDay, "ends_at": nil}, "progress": int64(100), "components": []any{anID, "x", 4},
			"updates": []any{m{"_id": anID, "created_at": someDay, "label": "L", "body": "B", "state": "outage"}}}},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad", "created_at": someDay, "schedule": nil, "resolved_at": nil, "updates": nil, "kind": nil}},
		{doc: m{"_id": "i", "page": "acme", "title": " ", "created_at": someDay}, reason: "title: is missing"},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad"}, reason: "created_at: is missing"},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad", "created_at": someDay, "resolved_at": true}, reason: "resolved_at: is of type boolean, want a date"},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad", "created_at": someDay, "kind": "outage"}, reason: `kind: is \"outage\", want incident, maintenance or informational`},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad", "created_at": someDay, "progress": 101}, reason: "progress: is 101, want 0 to 100"},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad", "created_at": someDay, "schedule": m{"ends_at": someDay}}, reason: "schedule: starts_at: is missing"},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad", "created_at": someDay, "schedule": []any{}}, reason: "schedule: is of type array, want a document"},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad", "created_at": someDay, "components": "api"}, reason: "components: is of type string, want an array"},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad", "created_at": someDay, "components": []any{nil}}, reason: "components.0: is of type null, want the id of a component", keeps: true},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad", "created_at": someDay, "updates": []any{m{"body": "no time"}}}, reason: "updates.0: created_at: is missing", keeps: true},
		{doc: m{"_id": "i", "page": "acme", "title": "Bad", "created_at": someDay, "updates": []any{m{"created_at": someDay, "state": "bad"}}}, reason: `updates.0: state: is \"bad\"`, keeps: true},
	},
}

func (s *Store) decodes(collection string, doc bson.Raw) (ok bool) {
	switch collection {
	case schema.Pages:
		_, err := s.decodePage(doc)
		return err == nil
	case schema.Components:
		_, ok = s.decodeComponent(doc)
	case schema.Issues:
		_, ok = s.decodeIssue(doc)
	}
	return ok
}

// counted is what the metric says.
func counted(t *testing.T, s *Store, collection string) float64 {
	t.Helper()
	var metric dto.Metric
	if err := s.invalid.count.WithLabelValues(collection).Write(&metric); err != nil {
		t.Fatal(err)
	}
	return metric.Counter.GetValue()
}

func TestDecode(t *testing.T) {
	for collection, cases := range decodeCases {
		for _, c := range cases {
			reg := prometheus.NewRegistry()
			s, log := decoder(t, reg)
			ok := s.decodes(collection, raw(t, c.doc))
			if want := c.reason == "" || c.keeps; ok != want {
				t.Errorf("%s %v: read %t, want %t (%s)", collection, c.doc, ok, want, log)
			}
			if !strings.Contains(log.String(), c.reason) || (c.reason == "") != (log.Len() == 0) {
				t.Errorf("%s %v: logged %q, want %q", collection, c.doc, log, c.reason)
			}
			count := counted(t, s, collection)
			if (count == 0) != (c.reason == "") {
				t.Errorf("%s %v: counted %v", collection, c.doc, count)
			}
		}
	}
}

func TestDecodeIssueInFull(t *testing.T) {
	s, log := decoder(t, nil)
	at := func(h int) time.Time { return someDay.Add(time.Duration(h) * time.Hour) }
	got, ok := s.decodeIssue(raw(t, bson.D{
		{Key: "_id", Value: anID}, {Key: "page", Value: "acme"}, {Key: "title", Value: "Title"}, {Key: "body", Value: "**B**"},
		{Key: "label", Value: "Label"}, {Key: "state", Value: "outage"}, {Key: "components", Value: bson.A{"api", int32(4)}},
		{Key: "schedule", Value: bson.D{{Key: "starts_at", Value: at(1)}, {Key: "ends_at", Value: at(2)}}},
		{Key: "progress", Value: 41.5},
		{Key: "created_at", Value: at(0)}, {Key: "updated_at", Value: at(3)}, {Key: "began_at", Value: at(4)},
		{Key: "ended_at", Value: at(5)}, {Key: "resolved_at", Value: at(6)}, {Key: "cancelled_at", Value: at(7)},
		{Key: "updates", Value: bson.A{
			bson.D{{Key: "_id", Value: anID}, {Key: "label", Value: "L"}, {Key: "body", Value: "b"}, {Key: "state", Value: "degraded"}, {Key: "created_at", Value: at(8)}},
			bson.D{{Key: "_id", Value: anID}},
			bson.D{{Key: "created_at", Value: someDay}},
			bson.D{{Key: "created_at", Value: someDay}},
		}},
	}))
	progress := 42
	want := status.Issue{
		ID: anID.Hex(), Title: "Title", Body: text("**B**"), Label: "Label",
		Kind: status.Maintenance, State: status.Outage, Components: []string{"api", "4"},
		Schedule: &status.Schedule{StartsAt: at(1), EndsAt: at(2)}, Progress: &progress,
		CreatedAt: at(0), UpdatedAt: at(3), BeganAt: at(4), EndedAt: at(5), ResolvedAt: at(6), CancelledAt: at(7),
		Updates: []status.Update{
			{ID: anID.Hex(), Label: "L", Body: text("b"), State: status.Degraded, CreatedAt: at(8)},
			{ID: anID.Hex(), CreatedAt: anID.Timestamp()},
			{ID: fmt.Sprintf("at-%d", someDay.UnixMilli()), CreatedAt: someDay},
			{ID: fmt.Sprintf("at-%d+", someDay.UnixMilli()), CreatedAt: someDay},
		},
	}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v\n%s", got, want, log)
	}
}

// What MongoDB's validator lets in and what decoding takes are the same:
// otherwise an application that follows the one is ignored by the other.
func TestSchemaAgreesWithDecoding(t *testing.T) {
	for collection, cases := range decodeCases {
		for _, c := range cases {
			switch c.reason {
			// Finer than the validator, which leaves it to the one who reads.
			case "url: is not an http or https address",
				"origins.1: is not an origin such as https://example.com, nor *",
				"components.0: is of type null, want the id of a component":
				continue
			}
			got := validates(t, collection, raw(t, c.doc))
			if (got == "") != (c.reason == "") {
				t.Errorf("%s %v: decoding says %q, the validator %q", collection, c.doc, c.reason, got)
			}
		}
	}
}

// validates says what the collection's validator has against a document.
func validates(t testing.TB, collection string, doc bson.Raw) string {
	t.Helper()
	schema := raw(t, validator(collection)).Lookup("$jsonSchema").Document()
	return matches(schema, bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: doc})
}

func TestComplaintsAreMadeOnce(t *testing.T) {
	s, log := decoder(t, nil)
	doc := raw(t, m{"_id": "acme"})
	for range 5 {
		s.decodePage(doc)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d complaints:\n%s", n, log)
	}
	for _, want := range []string{"collection=pages", "id=acme", `reason="name: is missing"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s is missing in %s", want, log)
		}
	}
	if n := counted(t, s, schema.Pages); n != 5 {
		t.Errorf("counted %v of 5", n)
	}
	// Memory is bounded, whatever a database is full of.
	for range maxRemembered + 10 {
		s.decodePage(raw(t, m{"_id": bson.NewObjectID().Hex()}))
	}
	if n := len(s.invalid.told); n > maxRemembered {
		t.Errorf("%d complaints are remembered", n)
	}
}

func TestTextCache(t *testing.T) {
	c := newTextCache(4000)
	for i := range 1000 {
		body := strings.Repeat("x", i%50+1)
		if got := c.render(body); got.Plain != body || got.HTML.String() != "<p>"+body+"</p>" {
			t.Fatalf("rendered %+v", got)
		}
		if c.size > c.limit {
			t.Fatalf("%d bytes kept", c.size)
		}
	}
	if len(c.young) == 0 || len(c.old) == 0 {
		t.Errorf("kept %d and %d", len(c.young), len(c.old))
	}
	if big := strings.Repeat("y", 5000); c.render(big).Plain != big {
		t.Error("a body too big to keep is not rendered")
	}
	hot := c.render("hot")
	for i := range 1000 {
		c.render(strings.Repeat("z", i%50+1))
		if got := c.render("hot"); got != hot {
			t.Fatalf("got %+v", got)
		}
		if _, ok := c.young["hot"]; !ok {
			t.Fatal("what is used is forgotten")
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, cases := range decodeCases {
		for _, c := range cases {
			f.Add([]byte(raw(f, c.doc)))
		}
	}
	s, _ := decoder(f, nil)
	f.Fuzz(func(t *testing.T, doc []byte) {
		if bson.Raw(doc).Validate() != nil {
			return // the driver hands out valid documents only
		}
		s.decodePage(doc)
		s.decodeComponent(doc)
		s.decodeIssue(doc)
	})
}

// text is Markdown in both its forms.
func text(md string) status.Text {
	html, plain := markdown.Render(md)
	return status.Text{HTML: html, Plain: plain}
}
