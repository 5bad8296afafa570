package replset

import (
	"bytes"
	"cmp"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A predicate says whether a document fits a query.
type predicate func(doc bson.Raw) bool

// A test says whether one of the values that a path leads to fits. They are
// those of MongoDB: the value itself and, if it is an array, its elements; no
// value at all is a zero RawValue.
type test func(values []bson.RawValue) bool

// parseMatch reads a query, with the operators that compare, combine, and
// look into arrays. Others are an error.
func parseMatch(query bson.Raw) (predicate, error) {
	fields, err := query.Elements()
	if err != nil {
		return nil, errorf(codeFailedToParse, "a query: %v", err)
	}
	var all []predicate
	for _, f := range fields {
		p, err := parseCondition(f.Key(), f.Value())
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return func(doc bson.Raw) bool {
		for _, p := range all {
			if !p(doc) {
				return false
			}
		}
		return true
	}, nil
}

func parseCondition(key string, v bson.RawValue) (predicate, error) {
	switch key {
	case "$and", "$or", "$nor":
		array, _ := v.ArrayOK()
		values, err := array.Values()
		if err != nil || len(values) == 0 {
			return nil, errorf(codeBadValue, "%s wants an array of queries", key)
		}
		parts := make([]predicate, len(values))
		for i, part := range values {
			doc, _ := part.DocumentOK()
			if parts[i], err = parseMatch(doc); err != nil {
				return nil, err
			}
		}
		return func(doc bson.Raw) bool {
			for _, p := range parts {
				if p(doc) != (key == "$and") {
					return key == "$or"
				}
			}
			return key != "$or"
		}, nil
	case "$comment":
		return func(bson.Raw) bool { return true }, nil
	}
	if strings.HasPrefix(key, "$") {
		return nil, errorf(codeNotImplemented, "the embedded database does not know %s here", key)
	}
	t, err := parseTest(v)
	path := strings.Split(key, ".")
	return func(doc bson.Raw) bool {
		return t(reach(nil, bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: doc}, path))
	}, err
}

// reach appends the values that a path leads to, through documents and the
// elements of arrays.
func reach(values []bson.RawValue, v bson.RawValue, path []string) []bson.RawValue {
	if len(path) == 0 {
		values = append(values, v)
		if array, ok := v.ArrayOK(); ok {
			elements, _ := array.Values()
			values = append(values, elements...)
		}
		return values
	}
	switch v.Type {
	case bson.TypeEmbeddedDocument:
		return reach(values, v.Document().Lookup(path[0]), path[1:])
	case bson.TypeArray:
		elements, _ := v.Array().Values()
		if n, err := strconv.Atoi(path[0]); err == nil && n >= 0 && n < len(elements) {
			values = reach(values, elements[n], path[1:])
		}
		for _, e := range elements {
			if e.Type == bson.TypeEmbeddedDocument {
				values = reach(values, e, path)
			}
		}
		return values
	}
	return append(values, bson.RawValue{})
}

// parseTest reads what a query says of one field.
func parseTest(want bson.RawValue) (test, error) {
	doc, isDoc := want.DocumentOK()
	operators, _ := doc.Elements()
	if !isDoc || len(operators) == 0 || !strings.HasPrefix(operators[0].Key(), "$") {
		return equals(want)
	}
	var all []test
	for _, op := range operators {
		t, err := parseOperator(op.Key(), op.Value(), doc)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return func(values []bson.RawValue) bool {
		for _, t := range all {
			if !t(values) {
				return false
			}
		}
		return true
	}, nil
}

// one is a test that a single value fits.
func one(fits func(bson.RawValue) bool) test {
	return func(values []bson.RawValue) bool {
		for _, v := range values {
			if fits(v) {
				return true
			}
		}
		return false
	}
}

func not(t test, err error) (test, error) {
	return func(values []bson.RawValue) bool { return !t(values) }, err
}

func equals(want bson.RawValue) (test, error) {
	if pattern, options, ok := want.RegexOK(); ok {
		return matches(pattern, options)
	}
	return func(values []bson.RawValue) bool {
		if want.Type == bson.TypeNull && len(values) == 0 {
			return true
		}
		return one(func(v bson.RawValue) bool {
			return v.Type == 0 && want.Type == bson.TypeNull || v.Type != 0 && compare(v, want) == 0
		})(values)
	}, nil
}

func matches(pattern, options string) (test, error) {
	flags := ""
	for _, o := range options {
		if !strings.ContainsRune("ims", o) {
			return nil, errorf(codeNotImplemented, "the embedded database has no option %q of regular expressions", o)
		}
		flags += string(o)
	}
	if flags != "" {
		pattern = "(?" + flags + ")" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, errorf(codeNotImplemented, "the embedded database cannot use the regular expression %.100q", pattern)
	}
	return one(func(v bson.RawValue) bool {
		text, ok := v.StringValueOK()
		return ok && re.MatchString(text)
	}), nil
}

// anyOf is a test that one of several fits.
func anyOf(v bson.RawValue) (test, error) {
	array, _ := v.ArrayOK()
	values, err := array.Values()
	if v.Type != bson.TypeArray || err != nil {
		return nil, errorf(codeBadValue, "$in and $nin want an array")
	}
	tests := make([]test, len(values))
	for i, value := range values {
		if tests[i], err = equals(value); err != nil {
			return nil, err
		}
	}
	return func(values []bson.RawValue) bool {
		for _, t := range tests {
			if t(values) {
				return true
			}
		}
		return false
	}, nil
}

func parseOperator(op string, v bson.RawValue, all bson.Raw) (test, error) {
	switch op {
	case "$eq":
		return equals(v)
	case "$ne":
		return not(equals(v))
	case "$in":
		return anyOf(v)
	case "$nin":
		return not(anyOf(v))
	case "$gt", "$gte", "$lt", "$lte":
		return one(func(got bson.RawValue) bool {
			if got.Type == 0 || order(got) != order(v) {
				return false
			}
			c := compare(got, v)
			return c == 0 && len(op) == len("$gte") || c > 0 && op[1] == 'g' || c < 0 && op[1] == 'l'
		}), nil
	case "$exists":
		on, isBool := v.BooleanOK()
		if n, ok := v.AsFloat64OK(); ok && !isBool {
			on = n != 0
		}
		return func(values []bson.RawValue) bool {
			return one(func(v bson.RawValue) bool { return v.Type != 0 })(values) == on
		}, nil
	case "$not":
		if v.Type != bson.TypeRegex && v.Type != bson.TypeEmbeddedDocument {
			return nil, errorf(codeBadValue, "$not wants a regular expression or operators")
		}
		return not(parseTest(v))
	case "$regex":
		pattern, options, isRegex := v.RegexOK()
		if !isRegex {
			pattern, _ = v.StringValueOK()
		}
		if given, ok := all.Lookup("$options").StringValueOK(); ok {
			options = given
		}
		return matches(pattern, options)
	case "$options": // read by $regex
		return func([]bson.RawValue) bool { return true }, nil
	case "$size":
		n, _ := v.AsInt64OK()
		return arrays(func(elements []bson.RawValue) bool { return int64(len(elements)) == n }), nil
	case "$elemMatch":
		doc, _ := v.DocumentOK()
		first, err := doc.IndexErr(0)
		if err == nil && strings.HasPrefix(first.Key(), "$") && first.Key() != "$and" && first.Key() != "$or" && first.Key() != "$nor" {
			t, err := parseTest(v)
			return arrays(func(elements []bson.RawValue) bool {
				return one(func(e bson.RawValue) bool { return t([]bson.RawValue{e}) })(elements)
			}), err
		}
		p, err := parseMatch(doc)
		return arrays(func(elements []bson.RawValue) bool {
			return one(func(e bson.RawValue) bool {
				doc, ok := e.DocumentOK()
				return ok && p(doc)
			})(elements)
		}), err
	}
	return nil, errorf(codeNotImplemented, "the embedded database does not know %s here", op)
}

// arrays is a test that a single value is an array that fits.
func arrays(fits func(elements []bson.RawValue) bool) test {
	return one(func(v bson.RawValue) bool {
		array, ok := v.ArrayOK()
		if !ok {
			return false
		}
		elements, _ := array.Values()
		return fits(elements)
	})
}

// order is the place of a type in MongoDB's order of values of all types:
// https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
func order(v bson.RawValue) int {
	switch v.Type {
	case bson.TypeNull, 0:
		return 1
	case bson.TypeInt32, bson.TypeInt64, bson.TypeDouble:
		return 2
	case bson.TypeString:
		return 3
	case bson.TypeEmbeddedDocument:
		return 4
	case bson.TypeArray:
		return 5
	case bson.TypeBinary:
		return 6
	case bson.TypeObjectID:
		return 7
	case bson.TypeBoolean:
		return 8
	case bson.TypeDateTime:
		return 9
	case bson.TypeTimestamp:
		return 10
	}
	return 11
}

// compare orders two values as MongoDB does.
func compare(a, b bson.RawValue) int {
	if c := cmp.Compare(order(a), order(b)); c != 0 {
		return c
	}
	switch order(a) {
	case 1:
		return 0
	case 2:
		return compareNumbers(a, b)
	case 3:
		return cmp.Compare(a.StringValue(), b.StringValue())
	case 4, 5:
		return compareDocuments(bson.Raw(a.Value), bson.Raw(b.Value))
	case 6:
		as, ad := a.Binary()
		bs, bd := b.Binary()
		return cmp.Or(cmp.Compare(len(ad), len(bd)), cmp.Compare(as, bs), bytes.Compare(ad, bd))
	case 9:
		return cmp.Compare(a.DateTime(), b.DateTime())
	case 10:
		at, ai := a.Timestamp()
		bt, bi := b.Timestamp()
		return cmp.Or(cmp.Compare(at, bt), cmp.Compare(ai, bi))
	}
	return bytes.Compare(a.Value, b.Value)
}

// compareNumbers keeps whole numbers exact, which doubles above 2^53 are not.
func compareNumbers(a, b bson.RawValue) int {
	af, aIsFloat := a.DoubleOK()
	bf, bIsFloat := b.DoubleOK()
	switch {
	case !aIsFloat && !bIsFloat:
		return cmp.Compare(a.AsInt64(), b.AsInt64())
	case aIsFloat && bIsFloat:
		return cmp.Compare(af, bf)
	case aIsFloat:
		return -compareNumbers(b, a)
	}
	n := a.AsInt64()
	switch {
	case math.IsNaN(bf) || bf < math.MinInt64:
		return 1
	case bf >= math.MaxInt64:
		return -1
	}
	whole := math.Trunc(bf)
	return cmp.Or(cmp.Compare(n, int64(whole)), cmp.Compare(whole, bf))
}

func compareDocuments(a, b bson.Raw) int {
	as, _ := a.Elements()
	bs, _ := b.Elements()
	for i := range min(len(as), len(bs)) {
		av, bv := as[i].Value(), bs[i].Value()
		if c := cmp.Or(cmp.Compare(order(av), order(bv)), cmp.Compare(as[i].Key(), bs[i].Key()), compare(av, bv)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}
