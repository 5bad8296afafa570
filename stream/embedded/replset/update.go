package replset

import (
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// withEqualities adds to a query what an upsert takes over from it and the
// backend would overlook: the equalities inside $and.
func withEqualities(query bson.Raw) bson.Raw {
	out := elements(query)
	var walk func(bson.Raw)
	walk = func(part bson.Raw) {
		fields, _ := part.Elements()
		for _, f := range fields {
			if f.Key() == "$and" {
				array, _ := f.Value().ArrayOK()
				parts, _ := array.Values()
				for _, p := range parts {
					doc, _ := p.DocumentOK()
					walk(doc)
				}
				continue
			}
			v := f.Value()
			if doc, ok := v.DocumentOK(); ok {
				if first, err := doc.IndexErr(0); err == nil && first.Key() == "$eq" {
					v = first.Value()
				} else if err == nil && strings.HasPrefix(first.Key(), "$") {
					continue
				}
			}
			if !strings.HasPrefix(f.Key(), "$") && v.Type != bson.TypeRegex &&
				!slices.ContainsFunc(out, func(e bson.E) bool { return e.Key == f.Key() }) {
				out = append(out, bson.E{Key: f.Key(), Value: v})
			}
		}
	}
	walk(query)
	return encode(out)
}

// rewrite replaces, in an update of a known document, what the backend
// silently ignores or does otherwise by what it comes to: $push with $slice,
// $position and $sort, $pull with conditions, $unset of an array's element.
func rewrite(update, before bson.Raw) (bson.Raw, error) {
	operators, _ := update.Elements()
	out, set := make(bson.D, 0, len(operators)+1), bson.D{}
	for _, op := range operators {
		fields, isDoc := op.Value().DocumentOK()
		compute := computed[op.Key()]
		if compute == nil || !isDoc {
			out = append(out, bson.E{Key: op.Key(), Value: op.Value()})
			continue
		}
		kept := bson.D{}
		paths, _ := fields.Elements()
		for _, f := range paths {
			now, ok, err := compute(before, strings.Split(f.Key(), "."), f.Value())
			switch {
			case err != nil:
				return nil, err
			case !ok:
				kept = append(kept, bson.E{Key: f.Key(), Value: f.Value()})
			case now != nil:
				set = append(set, bson.E{Key: f.Key(), Value: now})
			}
		}
		if len(kept) > 0 {
			out = append(out, bson.E{Key: op.Key(), Value: kept})
		}
	}
	if i := slices.IndexFunc(out, func(e bson.E) bool { return e.Key == "$set" }); i >= 0 && len(set) > 0 {
		given, _ := out[i].Value.(bson.RawValue).DocumentOK()
		out[i].Value = append(elements(given), set...)
	} else if len(set) > 0 || len(out) == 0 && len(operators) > 0 {
		out = append(out, bson.E{Key: "$set", Value: set})
	}
	return encode(out), nil
}

// computed are the operators that may have to be worked out here: what they
// make of the value at a path, nil for leaving it alone. Without ok the
// backend does it, or says what is wrong with it.
var computed = map[string]func(before bson.Raw, path []string, v bson.RawValue) (now any, ok bool, err error){
	"$push": push, "$pull": pull, "$unset": unset,
}

// unset leaves a hole in an array.
func unset(before bson.Raw, path []string, _ bson.RawValue) (now any, ok bool, err error) {
	if len(path) < 2 || before.Lookup(path[:len(path)-1]...).Type != bson.TypeArray {
		return nil, false, nil
	}
	if _, err := before.LookupErr(path...); err != nil {
		return nil, true, nil
	}
	return bson.RawValue{Type: bson.TypeNull}, true, nil
}

// arrayAt is the elements of the array at a path, none if there is nothing;
// ok is false if there is something else.
func arrayAt(doc bson.Raw, path []string) (values []bson.RawValue, found, ok bool) {
	v, err := doc.LookupErr(path...)
	if err != nil {
		return nil, false, true
	}
	array, ok := v.ArrayOK()
	values, _ = array.Values()
	return values, true, ok
}

// push is $push with modifiers.
func push(before bson.Raw, path []string, v bson.RawValue) (any, bool, error) {
	doc, _ := v.DocumentOK()
	modifiers, _ := doc.Elements()
	each, hasEach := doc.Lookup("$each").ArrayOK()
	added, _ := each.Values()
	array, _, ok := arrayAt(before, path)
	if !ok || !hasEach || len(modifiers) == 1 && len(added) > 0 {
		return nil, false, nil
	}
	position := len(array)
	if n, ok := doc.Lookup("$position").AsInt64OK(); ok {
		if n < 0 {
			n = max(n+int64(len(array)), 0)
		}
		position = int(min(n, int64(len(array))))
	}
	now := append([]bson.RawValue{}, slices.Concat(array[:position], added, array[position:])...)
	for _, m := range modifiers {
		switch m.Key() {
		case "$each", "$slice", "$position":
			if _, ok := m.Value().AsInt64OK(); !ok && m.Key() != "$each" {
				return nil, false, errorf(codeBadValue, "The value for %s must be an integer value", m.Key())
			}
		case "$sort":
			if err := sortArray(now, m.Value()); err != nil {
				return nil, false, err
			}
		default:
			return nil, false, errorf(codeBadValue, "Unrecognized clause in $push: %s", clip(m.Key()))
		}
	}
	if n, ok := doc.Lookup("$slice").AsInt64OK(); ok && n >= 0 {
		now = now[:min(n, int64(len(now)))]
	} else if ok {
		now = now[max(n+int64(len(now)), 0):]
	}
	return now, true, nil
}

func sortArray(values []bson.RawValue, by bson.RawValue) error {
	if n, ok := by.AsInt64OK(); ok && (n == 1 || n == -1) {
		slices.SortStableFunc(values, func(a, b bson.RawValue) int { return int(n) * compare(a, b) })
		return nil
	}
	doc, isDoc := by.DocumentOK()
	fields, _ := doc.Elements()
	if !isDoc || len(fields) == 0 {
		return errorf(codeBadValue, "The $sort is invalid: use 1/-1 to sort the whole element, or {field:1/-1} to sort embedded fields")
	}
	slices.SortStableFunc(values, func(a, b bson.RawValue) int {
		for _, f := range fields {
			n, _ := f.Value().AsInt64OK()
			path := strings.Split(f.Key(), ".")
			ad, _ := a.DocumentOK()
			bd, _ := b.DocumentOK()
			if c := compare(ad.Lookup(path...), bd.Lookup(path...)); c != 0 {
				return int(n) * c
			}
		}
		return 0
	})
	return nil
}

// pull is $pull with a condition.
func pull(before bson.Raw, path []string, v bson.RawValue) (any, bool, error) {
	condition, isDoc := v.DocumentOK()
	array, found, ok := arrayAt(before, path)
	if !ok || !isDoc && v.Type != bson.TypeRegex {
		return nil, false, nil
	}
	var fits func(bson.RawValue) bool
	if first, err := condition.IndexErr(0); !isDoc || err == nil && strings.HasPrefix(first.Key(), "$") {
		t, err := parseTest(v)
		if err != nil {
			return nil, false, err
		}
		fits = func(e bson.RawValue) bool { return t([]bson.RawValue{e}) }
	} else {
		p, err := parseMatch(condition)
		if err != nil {
			return nil, false, err
		}
		fits = func(e bson.RawValue) bool {
			doc, ok := e.DocumentOK()
			return ok && p(doc)
		}
	}
	if !found {
		return nil, true, nil
	}
	return slices.DeleteFunc(append([]bson.RawValue{}, array...), fits), true, nil
}

// describe is the updateDescription of a change. An array that became shorter
// is told whole.
func describe(before, after bson.Raw) bson.Raw {
	updated, removed := bson.D{}, bson.A{}
	var walk func(path string, before, after bson.Raw)
	differ := func(path string, was, is bson.RawValue) {
		switch {
		case was.Equal(is):
		case was.Type == bson.TypeEmbeddedDocument && is.Type == bson.TypeEmbeddedDocument:
			walk(path+".", was.Document(), is.Document())
		case was.Type == bson.TypeArray && is.Type == bson.TypeArray && count(was) <= count(is):
			walk(path+".", bson.Raw(was.Value), bson.Raw(is.Value))
		default:
			updated = append(updated, bson.E{Key: path, Value: is})
		}
	}
	walk = func(path string, before, after bson.Raw) {
		old, _ := before.Elements()
		was := make(map[string]bson.RawValue, len(old))
		for _, e := range old {
			was[e.Key()] = e.Value()
		}
		now, _ := after.Elements()
		for _, e := range now {
			differ(path+e.Key(), was[e.Key()], e.Value())
			delete(was, e.Key())
		}
		for _, e := range old {
			if _, gone := was[e.Key()]; gone {
				removed = append(removed, path+e.Key())
			}
		}
	}
	walk("", before, after)
	return encode(d("updatedFields", updated, "removedFields", removed, "truncatedArrays", bson.A{}))
}

func count(array bson.RawValue) int {
	values, _ := array.Array().Values()
	return len(values)
}
