package tail

import (
	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
	"statustail/stream/idtext"
)

// watched says whether changes of a collection are hints.
func watched(collection string) bool {
	return collection == change.Pages || collection == change.Components || collection == change.Issues
}

// hint makes the hint for a document: id is its _id, page the value of its
// field page, either may be absent.
func hint(collection string, id, page bson.RawValue, at change.Position) change.Hint {
	h := change.Hint{Collection: collection, ID: idtext.Of(id), At: at}
	if collection == change.Pages {
		h.Page = h.ID
	} else {
		h.Page, _ = page.StringValueOK()
	}
	return h
}
