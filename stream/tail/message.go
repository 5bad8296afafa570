package tail

import (
	"fmt"
	"regexp"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
	"statustail/stream/idtext"
)

const (
	// MaxData is the most JSON that a message may carry, in bytes.
	MaxData = 64 << 10
	// maxKey is the longest key of a message, in bytes.
	maxKey = 256
)

var (
	slug = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	name = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)
)

// Changed is the name of a document in a capped events collection that is a
// hint, not a message.
const Changed = "$changed"

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
func message(doc bson.Raw, reserved func(string) bool, at change.Position) (change.Message, error) {
	m := change.Message{ID: idtext.Of(doc.Lookup("_id")), At: at}
	if err := doc.Validate(); err != nil {
		return m, misfitf("bson", "not a valid document: %v", err)
	}
	if m.ID == "" {
		return m, misfitf("id", "no _id")
	}
	var ok bool
	if m.Page, ok = doc.Lookup("page").StringValueOK(); !ok || !slug.MatchString(m.Page) {
		return m, misfitf("page", "page %.80s: want the slug of a page, %s", show(doc, "page"), slug)
	}
	if m.Name, ok = doc.Lookup("name").StringValueOK(); !ok || !name.MatchString(m.Name) {
		return m, misfitf("name", "name %.80s: want %s", show(doc, "name"), name)
	}
	if reserved != nil && reserved(m.Name) {
		return m, misfitf("name", "name %q belongs to the protocol", m.Name)
	}
	if key := doc.Lookup("key"); key.Type != 0 && key.Type != bson.TypeNull {
		if m.Key, ok = key.StringValueOK(); !ok || len(m.Key) > maxKey {
			return m, misfitf("key", "key: want a string of at most %d bytes", maxKey)
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
	if len(data.Value) > MaxData {
		return m, misfitf("size", "data of %d bytes, at most %d are passed on", len(data.Value), MaxData)
	}
	json, err := appendJSON(make([]byte, 0, len(data.Value)+16), data)
	if err != nil {
		return m, misfitf("data", "data: %v", err)
	}
	if len(json) > MaxData {
		return m, misfitf("size", "data of %d bytes as JSON, at most %d are passed on", len(json), MaxData)
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
