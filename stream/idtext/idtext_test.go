package idtext

import (
	"math"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func raw(t *testing.T, v any) bson.RawValue {
	t.Helper()
	doc, err := bson.Marshal(bson.D{{Key: "v", Value: v}})
	if err != nil {
		t.Fatal(err)
	}
	return bson.Raw(doc).Lookup("v")
}

func TestOf(t *testing.T) {
	oid, _ := bson.ObjectIDFromHex("65f000000000000000000001")
	for want, v := range map[string]any{
		"65f000000000000000000001": oid,
		"api":                      "api",
		"42":                       int32(42),
		"-7":                       int64(-7),
		"1e9 ":                     "1e9 ",
		"5":                        5.0,
		"1.5":                      1.5,
		"1E+300":                   1e300,
		"true":                     true,
		`{"a":1}`:                  bson.D{{Key: "a", Value: int32(1)}},
		`{"$binary":{"base64":"AQI=","subType":"04"}}`: bson.Binary{Subtype: 4, Data: []byte{1, 2}},
		"":                                 nil,
		`{"$numberDouble":"NaN"}`:          math.NaN(),
		`{"$numberDecimal":"1"}`:           must(bson.ParseDecimal128("1")),
		`{"$date":"1970-01-01T00:00:00Z"}`: bson.DateTime(0),
	} {
		if got := Of(raw(t, v)); got != want {
			t.Errorf("Of(%#v) = %q, want %q", v, got, want)
		}
	}
	if got := Of(bson.RawValue{}); got != "" {
		t.Errorf("a missing value is %q", got)
	}
}

// Whatever can be an id is found again by its text.
func TestValuesFindWhatOfWrote(t *testing.T) {
	for _, v := range []any{
		bson.NewObjectID(), "api", "", "65f000000000000000000001", int64(42), "42", int64(-1),
		bson.Binary{Subtype: 4, Data: make([]byte, 16)}, bson.D{{Key: "a", Value: "b"}},
	} {
		want := raw(t, v)
		text := Of(want)
		found := false
		for _, candidate := range Values(text) {
			found = found || raw(t, candidate).Equal(want)
		}
		if !found {
			t.Errorf("%#v, as %q, is not among %#v", v, text, Values(text))
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"", "1", "65f000000000000000000001", `{"$uuid":1}`, `{"$oid":"x"}`, "{}", "-0", "{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v := Values(s); len(v) == 0 || v[0] != s {
			t.Fatalf("Values(%q) = %v", s, v)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
