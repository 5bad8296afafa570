// Package idtext writes the ids of documents as text, the one form in which
// they travel through the program, into URLs and to browsers, and finds the
// values that a text may stand for.
//
// It must never know which documents the ids belong to.
package idtext

import (
	"fmt"
	"math"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Of is the text of an id: an ObjectID in hexadecimal, a string as it is, a
// whole number in decimal whatever its type, and anything else in MongoDB's
// relaxed extended JSON. It is empty for a missing value, null and an empty
// string, none of which identifies anything.
func Of(v bson.RawValue) string {
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

// Values are the ids, as BSON values, whose text s may be: for a query with
// $in. A text of 24 hexadecimal digits may be an ObjectID or a string.
func Values(s string) []any {
	values := []any{s}
	if id, err := bson.ObjectIDFromHex(s); err == nil && id.Hex() == s {
		values = append(values, id)
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(n, 10) == s {
		values = append(values, n) // equal to an int32 or double, too
	}
	if len(s) > 1 && s[0] == '{' {
		var doc bson.D
		if bson.UnmarshalExtJSON([]byte(`{"v":`+s+`}`), false, &doc) == nil && len(doc) == 1 {
			values = append(values, doc[0].Value)
		}
	}
	return values
}
