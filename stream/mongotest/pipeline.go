package mongotest

import (
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// transform puts an event through the stages of a pipeline; keep is false when
// a $match drops it. It knows as much of both stages as change streams here
// need, and refuses the rest.
func transform(event bson.D, stages []bson.Raw) (doc bson.Raw, keep bool, err error) {
	doc = encode(event)
	for _, stage := range stages {
		e, err := stage.IndexErr(0)
		if err != nil {
			return nil, false, err
		}
		spec, ok := e.Value().DocumentOK()
		switch {
		case ok && e.Key() == "$match":
			if keep, err = match(doc, spec); err != nil || !keep {
				return nil, false, err
			}
		case ok && e.Key() == "$project":
			if doc, err = project(doc, spec); err != nil {
				return nil, false, err
			}
		default:
			return nil, false, fmt.Errorf("mongotest knows no stage %s", e.Key())
		}
	}
	return doc, true, nil
}

func match(doc, spec bson.Raw) (bool, error) {
	conditions, err := spec.Elements()
	if err != nil {
		return false, err
	}
	for _, c := range conditions {
		ok, err := matchOne(doc, c.Key(), c.Value())
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func matchOne(doc bson.Raw, key string, want bson.RawValue) (bool, error) {
	switch {
	case key == "$or" || key == "$and":
		parts, err := want.Array().Values()
		if err != nil {
			return false, err
		}
		for _, part := range parts {
			ok, err := match(doc, part.Document())
			if err != nil {
				return false, err
			}
			if ok == (key == "$or") {
				return ok, nil
			}
		}
		return key == "$and", nil
	case strings.HasPrefix(key, "$"):
		return false, fmt.Errorf("mongotest knows no %s in $match", key)
	}
	got := doc.Lookup(strings.Split(key, ".")...)
	if want.Type != bson.TypeEmbeddedDocument {
		return got.Equal(want), nil
	}
	operators, err := want.Document().Elements()
	if err != nil {
		return false, err
	}
	for _, op := range operators {
		var ok bool
		switch op.Key() {
		case "$in":
			values, err := op.Value().Array().Values()
			if err != nil {
				return false, err
			}
			for _, v := range values {
				ok = ok || got.Equal(v)
			}
		case "$eq":
			ok = got.Equal(op.Value())
		case "$ne":
			ok = !got.Equal(op.Value())
		default:
			return false, fmt.Errorf("mongotest knows no %s in $match", op.Key())
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

// project includes the fields that are named; _id stays. As on a real server,
// a field that is no document has no fields to include, so null goes.
func project(doc, spec bson.Raw) (bson.Raw, error) {
	fields, err := spec.Elements()
	if err != nil {
		return nil, err
	}
	paths := [][]string{{"_id"}}
	for _, f := range fields {
		if n, ok := f.Value().AsInt64OK(); !ok || n != 1 {
			return nil, fmt.Errorf("mongotest knows only inclusion in $project, not %s", f)
		}
		paths = append(paths, strings.Split(f.Key(), "."))
	}
	included, err := include(doc, paths)
	if err != nil {
		return nil, err
	}
	return encode(included), nil
}

func include(doc bson.Raw, paths [][]string) (bson.D, error) {
	all, err := doc.Elements()
	if err != nil {
		return nil, err
	}
	out := bson.D{}
	for _, e := range all {
		var deeper [][]string
		whole := false
		for _, p := range paths {
			if p[0] == e.Key() {
				whole = whole || len(p) == 1
				deeper = append(deeper, p[1:])
			}
		}
		switch sub, isDoc := e.Value().DocumentOK(); {
		case whole:
			out = append(out, bson.E{Key: e.Key(), Value: e.Value()})
		case len(deeper) > 0 && isDoc:
			inner, err := include(sub, deeper)
			if err != nil {
				return nil, err
			}
			out = append(out, bson.E{Key: e.Key(), Value: inner})
		}
	}
	return out, nil
}
