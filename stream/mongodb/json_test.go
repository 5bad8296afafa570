package mongodb

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestAppendJSON(t *testing.T) {
	oid, _ := bson.ObjectIDFromHex("6b01ce92b80e8e2b99540007")
	decimal, _ := bson.ParseDecimal128("12.50")
	infinite, _ := bson.ParseDecimal128("Infinity")
	huge, _ := bson.ParseDecimal128("1E+400")
	for _, test := range []struct {
		value any
		want  string
	}{
		{"a \"b\"\n</script>", `"a \"b\"\n\u003c/script\u003e"`},
		{"line\u2028separator", `"line\u2028separator"`},
		{"\xff", `"\ufffd"`},
		{int32(-1), `-1`},
		{int64(1) << 60, `1152921504606846976`},
		{1.5, `1.5`},
		{1e21, `1e+21`},
		{math.NaN(), `null`},
		{math.Inf(-1), `null`},
		{true, `true`},
		{nil, `null`},
		{bson.Undefined{}, `null`},
		{bson.MinKey{}, `null`},
		{oid, `"6b01ce92b80e8e2b99540007"`},
		{time.Date(2026, 11, 21, 17, 2, 9, 5e6, time.FixedZone("", 3600)), `"2026-11-21T16:02:09.005Z"`},
		{bson.DateTime(math.MaxInt64), `null`},
		{bson.Timestamp{T: 1, I: 2}, `"1970-01-01T00:00:01.000Z"`},
		{bson.Binary{Data: []byte{1, 2, 255}}, `"AQL/"`},
		{decimal, `12.50`},
		{infinite, `null`},
		{huge, `1e+400`},
		{bson.Regex{Pattern: "a\"", Options: "i"}, `"/a\"/i"`},
		{bson.D{}, `{}`},
		{bson.A{}, `[]`},
		{bson.D{{Key: "z", Value: 1}, {Key: "a", Value: bson.A{1, bson.D{{Key: "\"", Value: nil}}}}}, `{"z":1,"a":[1,{"\"":null}]}`},
	} {
		got, err := AppendJSON(nil, raw(t, test.value))
		if err != nil || string(got) != test.want {
			t.Errorf("%v: got %s, %v, want %s", test.value, got, err, test.want)
		}
		if !json.Valid(got) {
			t.Errorf("%v: %s is not JSON", test.value, got)
		}
	}
}

func TestAppendJSONBoundsDepth(t *testing.T) {
	var v any = 1
	for range maxDepth + 1 {
		v = bson.A{v}
	}
	if _, err := AppendJSON(nil, raw(t, v)); err == nil {
		t.Error("no error")
	}
}
