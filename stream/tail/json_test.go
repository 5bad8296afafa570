package tail

import (
	"encoding/json"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/schema"
)

func raw(t testing.TB, v any) bson.RawValue {
	t.Helper()
	doc, err := bson.Marshal(bson.D{{Key: "v", Value: v}})
	if err != nil {
		t.Fatal(err)
	}
	return bson.Raw(doc).Lookup("v")
}

// Whatever a stranger's driver wrote, the data of a message is one line of
// valid JSON, or the message is skipped.
func FuzzMessage(f *testing.F) {
	seed := func(d bson.D) {
		doc, err := bson.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	seed(bson.D{{Key: "_id", Value: 1}, {Key: "page", Value: "acme"}, {Key: "name", Value: "tick"}, {Key: "data", Value: bson.D{{Key: "a", Value: bson.A{1.5, "x", nil}}}}})
	seed(bson.D{{Key: "_id", Value: bson.NewObjectID()}, {Key: "page", Value: "acme"}, {Key: "name", Value: "t"}, {Key: "data", Value: bson.Binary{Data: []byte{1}}}, {Key: "key", Value: "k"}})
	f.Fuzz(func(t *testing.T, doc []byte) {
		m, err := message(doc, 1)
		if err != nil {
			return
		}
		if !json.Valid(m.Data) || strings.ContainsAny(string(m.Data), "\n\r") || len(m.Data) > schema.MaxData {
			t.Errorf("data %q", m.Data)
		}
		if !schema.IsEventName(m.Name) || !schema.IsSlug(m.Page) || m.ID == "" {
			t.Errorf("message %+v", m)
		}
	})
}
