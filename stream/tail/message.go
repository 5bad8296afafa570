package tail

import (
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
	"statustail/stream/mongodb"
	"statustail/stream/schema"
)

// reasons are the words of all misfits.
var reasons = []string{"bson", "changed", "data", "id", "key", "name", "page", "size"}

// A misfit is why a document of events is skipped. Reason is one word for
// metrics.
type misfit struct {
	reason string
	text   string
}

func (m *misfit) Error() string { return m.text }

func misfitf(reason, format string, args ...any) error {
	return &misfit{reason, fmt.Sprintf(format, args...)}
}

// message reads and checks a document of events. The error, a *misfit, says
// what is wrong with it.
func message(doc bson.Raw, at change.Position) (change.Message, error) {
	m := change.Message{ID: mongodb.IDText(doc.Lookup("_id")), At: at}
	if err := doc.Validate(); err != nil {
		return m, misfitf("bson", "not a valid document: %v", err)
	}
	if m.ID == "" {
		return m, misfitf("id", "no _id")
	}
	var ok bool
	if m.Page, ok = doc.Lookup("page").StringValueOK(); !ok || !schema.IsSlug(m.Page) {
		return m, misfitf("page", "page %.80s: want the slug of a page, %s", show(doc, "page"), schema.SlugPattern)
	}
	if m.Name, ok = doc.Lookup("name").StringValueOK(); !ok || !schema.IsEventName(m.Name) {
		return m, misfitf("name", "name %.80s: want %s", show(doc, "name"), schema.EventNamePattern)
	}
	if schema.Reserved(m.Name) {
		return m, misfitf("name", "name %q belongs to the protocol", m.Name)
	}
	if key := doc.Lookup("key"); key.Type != 0 && key.Type != bson.TypeNull {
		if m.Key, ok = key.StringValueOK(); !ok || len(m.Key) > schema.MaxKey {
			return m, misfitf("key", "key: want a string of at most %d bytes", schema.MaxKey)
		}
	}
	if created, ok := doc.Lookup("created_at").TimeOK(); ok {
		m.CreatedAt = created.UTC()
	} else if id, ok := doc.Lookup("_id").ObjectIDOK(); ok {
		m.CreatedAt = id.Timestamp().UTC()
	} else {
		m.CreatedAt = at.Time()
	}
	data := doc.Lookup("data")
	// No JSON is that much shorter than its BSON.
	if len(data.Value) > 16*schema.MaxData {
		return m, misfitf("size", "data of %d bytes, at most %d of JSON are passed on", len(data.Value), schema.MaxData)
	}
	json, err := mongodb.AppendJSON(make([]byte, 0, min(len(data.Value), schema.MaxData)+16), data)
	if err != nil {
		return m, misfitf("data", "data: %v", err)
	}
	if len(json) > schema.MaxData {
		return m, misfitf("size", "data of %d bytes as JSON, at most %d are passed on", len(json), schema.MaxData)
	}
	m.Data = json
	return m, nil
}

// show is the value of a field for an error text.
func show(doc bson.Raw, field string) string {
	v := doc.Lookup(field)
	if v.Type == 0 {
		return "missing"
	}
	return v.String()
}
