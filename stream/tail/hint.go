package tail

import (
	"encoding/json"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
)

// watched says whether changes of a collection are hints.
func watched(collection string) bool {
	return collection == change.Pages || collection == change.Components || collection == change.Issues
}

// hint makes the hint for a document: id is its _id, page the value of its
// field page, either may be absent.
func hint(collection string, id, page bson.RawValue, at change.Position) change.Hint {
	h := change.Hint{Collection: collection, ID: idText(id), At: at}
	if collection == change.Pages {
		h.Page = h.ID
	} else {
		h.Page, _ = page.StringValueOK()
	}
	return h
}

// idText is the text form of an _id: an ObjectID in hexadecimal, a string as
// it is, an integer in decimal, anything else as relaxed extended JSON. It is
// empty for an absent one.
func idText(v bson.RawValue) string {
	switch v.Type {
	case 0:
		return ""
	case bson.TypeObjectID:
		return v.ObjectID().Hex()
	case bson.TypeString:
		s, _ := v.StringValueOK()
		return s
	case bson.TypeInt32:
		return strconv.FormatInt(int64(v.Int32()), 10)
	case bson.TypeInt64:
		return strconv.FormatInt(v.Int64(), 10)
	}
	var doc struct {
		ID json.RawMessage `json:"_id"`
	}
	text, err := bson.MarshalExtJSON(bson.D{{Key: "_id", Value: v}}, false, false)
	if err != nil || json.Unmarshal(text, &doc) != nil {
		return v.String()
	}
	return string(doc.ID)
}
