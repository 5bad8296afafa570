package tail

import (
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
	"statustail/stream/mongodb"
	"statustail/stream/schema"
)

// watched says whether changes of a collection are hints.
func watched(collection string) bool {
	return collection == schema.Pages || collection == schema.Components || collection == schema.Issues
}

// hint makes the hint for a document: id is its _id, page the value of its
// field page, either may be absent.
func hint(collection string, id, page bson.RawValue, at change.Position) change.Hint {
	h := change.Hint{Collection: collection, ID: mongodb.IDText(id), At: at}
	if collection == schema.Pages {
		h.Page = h.ID
	} else {
		h.Page, _ = page.StringValueOK()
	}
	return h
}

// touched says what a change of a page touched: everything, where the event does
// not say.
func touched(event bson.Raw) (t change.Touched) {
	operation, _ := event.Lookup("operationType").StringValueOK()
	if _, described := event.Lookup("updateDescription").DocumentOK(); operation != "update" || !described {
		return change.Identity | change.Hosts
	}
	note := func(field string) {
		switch field, _, _ = strings.Cut(field, "."); field {
		case "private":
			t |= change.Identity
		case "hosts":
			t |= change.Hosts
		}
	}
	if updated, ok := event.Lookup("updateDescription", "updatedFields").DocumentOK(); ok {
		elements, _ := updated.Elements()
		for _, e := range elements {
			note(e.Key())
		}
	}
	if removed, ok := event.Lookup("updateDescription", "removedFields").ArrayOK(); ok {
		values, _ := removed.Values()
		for _, v := range values {
			field, _ := v.StringValueOK()
			note(field)
		}
	}
	return t
}
