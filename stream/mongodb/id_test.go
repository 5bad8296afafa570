package mongodb

import (
	"math"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func raw(t testing.TB, v any) bson.RawValue {
	t.Helper()
	doc, err := bson.Marshal(bson.D{{Key: "v", Value: v}})
	if err != nil {
		t.Fatal(err)
	}
	return bson.Raw(doc).Lookup("v")
}

func TestIDText(t *testing.T) {
	oid, _ := bson.ObjectIDFromHex("65f000000000000000000001")
	for want, v := range map[string]any{
		"65f000000000000000000001":             oid,
		"api":                                  "api",
		"42":                                   int32(42),
		"-7":                                   int64(-7),
		"1e9 ":                                 "1e9 ",
		"5":                                    5.0,
		"1.5":                                  1.5,
		"1E+300":                               1e300,
		"true":                                 true,
		`{"a":1}`:                              bson.D{{Key: "a", Value: int32(1)}},
		"30313233-3435-3637-3839-616263646566": bson.Binary{Subtype: 4, Data: []byte("0123456789abcdef")},
		`{"$binary":{"base64":"AQI=","subType":"04"}}`: bson.Binary{Subtype: 4, Data: []byte{1, 2}},
		"":                                 nil,
		`{"$numberDouble":"NaN"}`:          math.NaN(),
		`{"$numberDecimal":"1"}`:           must(bson.ParseDecimal128("1")),
		`{"$date":"1970-01-01T00:00:00Z"}`: bson.DateTime(0),
	} {
		if got := IDText(raw(t, v)); got != want {
			t.Errorf("IDText(%#v) = %q, want %q", v, got, want)
		}
	}
	if got := IDText(bson.RawValue{}); got != "" {
		t.Errorf("a missing value is %q", got)
	}
}

// An id of a plain type is found again by its text.
func TestIDValuesFindWhatIDTextWrote(t *testing.T) {
	for _, v := range []any{
		bson.NewObjectID(), "api", "", "65f000000000000000000001", int64(42), "42", int64(-1),
		bson.Binary{Subtype: 4, Data: make([]byte, 16)}, bson.Binary{Subtype: 4, Data: []byte("0123456789abcdef")},
	} {
		want := raw(t, v)
		text := IDText(want)
		found := false
		for _, candidate := range IDValues(text) {
			found = found || raw(t, candidate).Equal(want)
		}
		if !found {
			t.Errorf("%#v, as %q, is not among %#v", v, text, IDValues(text))
		}
	}
}

// Ids come from URLs: whatever a text says, it is compared with values that
// cannot be operators.
func TestIDValuesArePlain(t *testing.T) {
	for _, text := range []string{
		`{"$minKey":1}`, `{"$maxKey":1}`, `{"$regularExpression":{"pattern":"^","options":""}}`, `{"$ne":null}`,
		`{"$uuid":"30313233-3435-3637-3839-616263646566"}`, `{"$oid":"65f000000000000000000001"}`, `{"a":1}`, `[1]`, `null`,
	} {
		if values := IDValues(text); len(values) != 1 || values[0] != text {
			t.Errorf("IDValues(%q) = %#v, want the string alone", text, values)
		}
	}
}

func FuzzIDValues(f *testing.F) {
	for _, s := range []string{"", "1", "65f000000000000000000001", "30313233-3435-3637-3839-616263646566", `{"$oid":"x"}`, "{}", "-0", "{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		values := IDValues(s)
		if len(values) == 0 || values[0] != s {
			t.Fatalf("IDValues(%q) = %v", s, values)
		}
		for _, v := range values[1:] {
			switch v.(type) {
			case bson.ObjectID, int64, bson.Binary:
			default:
				t.Fatalf("IDValues(%q) has a %T", s, v)
			}
			if got := IDText(raw(t, v)); got != s {
				t.Fatalf("%q stands for %v, whose text is %q", s, v, got)
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
