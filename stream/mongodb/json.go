package mongodb

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// maxDepth is how deeply data may be nested, as in MongoDB itself.
const maxDepth = 100

// errDepth is for data that is nested deeper.
var errDepth = fmt.Errorf("nested deeper than %d", maxDepth)

// AppendJSON appends a BSON value as the plain, compact JSON that a browser
// expects, not extended JSON: dates are RFC 3339 with milliseconds in UTC,
// ObjectIDs hexadecimal, integers and decimals numbers, binary is base64.
// What JSON has no word for (NaN, Inf, undefined, a date after the year 9999)
// is null. Fields keep their order, and the result is valid UTF-8.
func AppendJSON(dst []byte, v bson.RawValue) ([]byte, error) {
	return appendValue(dst, v, 0)
}

func appendValue(dst []byte, v bson.RawValue, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	switch v.Type {
	case bson.TypeDouble:
		return appendFloat(dst, v.Double()), nil
	case bson.TypeString:
		return appendString(dst, v.StringValue()), nil
	case bson.TypeEmbeddedDocument:
		return appendDocument(dst, v.Document(), depth)
	case bson.TypeArray:
		return appendArray(dst, v.Array(), depth)
	case bson.TypeBinary:
		_, data := v.Binary()
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, data)
		return append(dst, '"'), nil
	case bson.TypeObjectID:
		return appendString(dst, v.ObjectID().Hex()), nil
	case bson.TypeBoolean:
		return strconv.AppendBool(dst, v.Boolean()), nil
	case bson.TypeDateTime:
		return appendTime(dst, v.Time()), nil
	case bson.TypeInt32:
		return strconv.AppendInt(dst, int64(v.Int32()), 10), nil
	case bson.TypeInt64:
		return strconv.AppendInt(dst, v.Int64(), 10), nil
	case bson.TypeTimestamp:
		t, _ := v.Timestamp()
		return appendTime(dst, time.Unix(int64(t), 0)), nil
	case bson.TypeDecimal128:
		return appendDecimal(dst, v.Decimal128()), nil
	case bson.TypeSymbol:
		return appendString(dst, v.Symbol()), nil
	case bson.TypeJavaScript:
		return appendString(dst, v.JavaScript()), nil
	case bson.TypeRegex:
		pattern, options := v.Regex()
		return appendString(dst, "/"+pattern+"/"+options), nil
	}
	return append(dst, "null"...), nil
}

func appendDocument(dst []byte, doc bson.Raw, depth int) ([]byte, error) {
	elements, err := doc.Elements()
	if err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	for i, e := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, e.Key()), ':')
		if dst, err = appendValue(dst, e.Value(), depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendArray(dst []byte, array bson.RawArray, depth int) ([]byte, error) {
	values, err := array.Values()
	if err != nil {
		return nil, err
	}
	dst = append(dst, '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(dst, v, depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	b, _ := json.Marshal(f) // cannot fail: it is a number
	return append(dst, b...)
}

// appendString relies on encoding/json, which replaces invalid UTF-8 and
// escapes <, >, & and the line separators, so that the text is as harmless
// inside a script as it is in a frame.
func appendString(dst []byte, s string) []byte {
	b, _ := json.Marshal(s) // cannot fail: it is a string
	return append(dst, b...)
}

func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = t.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	return append(dst, '"')
}

func appendDecimal(dst []byte, d bson.Decimal128) []byte {
	s := d.String()
	if d.IsNaN() || d.IsInf() != 0 || !json.Valid([]byte(s)) {
		return append(dst, "null"...)
	}
	return append(dst, strings.ToLower(s)...)
}
