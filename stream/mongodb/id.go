package mongodb

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// IDText is the text of a document's id, the one form in which ids travel
// through the program, into URLs and to browsers: an ObjectID in hexadecimal,
// a string as it is, a whole number in decimal whatever its type, a UUID in
// its canonical form (RFC 9562). Anything else can be told apart by its text,
// MongoDB's relaxed extended JSON, but not looked up by it. It is empty for a
// missing value, null and an empty string, none of which identifies anything.
func IDText(v bson.RawValue) string {
	switch v.Type {
	case bson.TypeObjectID:
		return v.ObjectID().Hex()
	case bson.TypeString:
		return v.StringValue()
	case bson.TypeInt32:
		return strconv.FormatInt(int64(v.Int32()), 10)
	case bson.TypeInt64:
		return strconv.FormatInt(v.Int64(), 10)
	case bson.TypeDouble:
		// mongosh and JavaScript drivers write whole numbers as doubles too,
		// and to MongoDB 5.0 and 5 are the same id.
		if f := v.Double(); f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return strconv.FormatInt(int64(f), 10)
		}
	case bson.TypeBinary:
		if subtype, data := v.Binary(); subtype == bson.TypeBinaryUUID && len(data) == 16 {
			return uuidText(data)
		}
	case bson.TypeNull, bson.TypeUndefined, 0:
		return ""
	}
	doc, err := bson.MarshalExtJSON(bson.D{{Key: "v", Value: v}}, false, false)
	if err != nil {
		return fmt.Sprintf("(%s)", v.Type)
	}
	// {"v":...}
	return string(doc[len(`{"v":`) : len(doc)-1])
}

// IDValues are the plain values that the text of an id may stand for, the
// string itself first: an ObjectID, a whole number and a UUID have texts that
// are strings as well. A text is never parsed into anything else, whatever it
// says: it comes from strangers, who must not be able to ask with an operator.
func IDValues(text string) []any {
	values := []any{text}
	if id, err := bson.ObjectIDFromHex(text); err == nil && id.Hex() == text {
		values = append(values, id)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		values = append(values, n) // equal to an int32 or a double, too
	}
	if data, ok := parseUUID(text); ok {
		values = append(values, bson.Binary{Subtype: bson.TypeBinaryUUID, Data: data})
	}
	return values
}

func uuidText(data []byte) string {
	x := hex.EncodeToString(data)
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// parseUUID reads what uuidText writes and nothing else.
func parseUUID(text string) (data []byte, ok bool) {
	if len(text) != 36 {
		return nil, false
	}
	data, err := hex.DecodeString(text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:])
	if err != nil || uuidText(data) != text {
		return nil, false
	}
	return data, true
}
