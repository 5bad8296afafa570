package store

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/status"
)

// fields reads the fields of a document that may hold anything. It is
// tolerant where the meaning is clear (any type of number; null for absent),
// and strict where it is not (a time must be a date, never a string or a
// number). The first thing that does not fit is kept in err, and everything
// after it is worth nothing.
type fields struct {
	raw bson.Raw
	err error
}

func (f *fields) fail(key string, format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
	}
}

// lookup is the value of a field; ok is false when it is absent or null.
func (f *fields) lookup(key string) (v bson.RawValue, ok bool) {
	v, err := f.raw.LookupErr(key)
	if err != nil || v.Type == bson.TypeNull || v.Type == bson.TypeUndefined {
		return v, false
	}
	return v, true
}

// absent reports whether a field is absent or null.
func (f *fields) absent(key string) bool {
	_, ok := f.lookup(key)
	return !ok
}

// text is an optional string.
func (f *fields) text(key string) string {
	v, ok := f.lookup(key)
	if !ok {
		return ""
	}
	s, ok := v.StringValueOK()
	if !ok {
		f.fail(key, "is of type %s, want a string", v.Type)
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// name is a required string that says something.
func (f *fields) name(key string) string {
	s := f.text(key)
	if f.err == nil && strings.TrimSpace(s) == "" {
		f.fail(key, "is missing")
	}
	return s
}

// date is an optional time.
func (f *fields) date(key string) time.Time {
	v, ok := f.lookup(key)
	if !ok {
		return time.Time{}
	}
	if v.Type != bson.TypeDateTime {
		f.fail(key, "is of type %s, want a date", v.Type)
		return time.Time{}
	}
	t := v.Time().UTC()
	// What JSON and clients of the stream can express.
	if y := t.Year(); y < 1 || y > 9999 {
		f.fail(key, "is in the year %d", y)
		return time.Time{}
	}
	return t
}

// created is when the document was made: the field, or else the time inside
// its ObjectID.
func (f *fields) created() time.Time {
	t := f.date("created_at")
	if id, ok := f.raw.Lookup("_id").ObjectIDOK(); t.IsZero() && ok {
		return id.Timestamp().UTC()
	}
	return t
}

// number is an optional whole number; a fraction is rounded.
func (f *fields) number(key string, low, high int) (n int, ok bool) {
	v, ok := f.lookup(key)
	if !ok {
		return 0, false
	}
	var x float64
	switch v.Type {
	case bson.TypeInt32:
		x = float64(v.Int32())
	case bson.TypeInt64:
		x = float64(v.Int64())
	case bson.TypeDouble:
		x = math.Round(v.Double())
	default:
		f.fail(key, "is of type %s, want a number", v.Type)
		return 0, false
	}
	if !(x >= float64(low) && x <= float64(high)) { // false for NaN
		f.fail(key, "is %v, want %d to %d", x, low, high)
		return 0, false
	}
	return int(x), true
}

// flag is an optional boolean. Nothing else will do: a page whose privacy is
// not clear is not shown.
func (f *fields) flag(key string) bool {
	v, ok := f.lookup(key)
	if !ok {
		return false
	}
	b, ok := v.BooleanOK()
	if !ok {
		f.fail(key, "is of type %s, want true or false", v.Type)
	}
	return b
}

// state is an optional state; Pending when absent.
func (f *fields) state(key string) status.State {
	word := f.text(key)
	if word == "" {
		return status.Pending
	}
	s, err := status.ParseState(word)
	if err != nil {
		f.fail(key, "is %q, want operational, degraded, partial_outage or outage", clip(word))
	}
	return s
}

// document is an optional document inside.
func (f *fields) document(key string) (bson.Raw, bool) {
	v, ok := f.lookup(key)
	if !ok {
		return nil, false
	}
	doc, ok := v.DocumentOK()
	if !ok {
		f.fail(key, "is of type %s, want a document", v.Type)
	}
	return doc, ok
}

// extra is an optional string that the rest can do without: one that does not
// fit is left out and reported to drop.
func (f *fields) extra(key string, check func(string) error, drop func(error)) string {
	v, ok := f.lookup(key)
	if !ok {
		return ""
	}
	s, ok := v.StringValueOK()
	err := error(nil)
	if !ok {
		err = fmt.Errorf("%s: %w", key, wrongType(v, "a string"))
	} else if s != "" && check != nil {
		err = check(s)
	}
	if err != nil {
		drop(err)
		return ""
	}
	return s
}

// each passes the elements of an optional array. One that does not fit is
// left out and reported to drop; the others count.
func (f *fields) each(key string, element func(bson.RawValue) error, drop func(error)) {
	f.newest(key, math.MaxInt, element, drop)
}

// newest is each, for the last n elements.
func (f *fields) newest(key string, n int, element func(bson.RawValue) error, drop func(error)) {
	v, ok := f.lookup(key)
	if !ok {
		return
	}
	array, ok := v.ArrayOK()
	if !ok {
		f.fail(key, "is of type %s, want an array", v.Type)
		return
	}
	values, err := array.Values()
	if err != nil {
		f.fail(key, "cannot be read: %v", err)
		return
	}
	first := max(len(values)-n, 0)
	for i, v := range values[first:] {
		if err := element(v); err != nil {
			drop(fmt.Errorf("%s.%d: %w", key, first+i, err))
		}
	}
}

var errNotDocument = errors.New("want a document")

func wrongType(v bson.RawValue, want string) error {
	return fmt.Errorf("is of type %s, want %s", v.Type, want)
}
