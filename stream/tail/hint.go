package tail

import (
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
