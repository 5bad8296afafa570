package replset

import (
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A stage is one step of a pipeline behind $changeStream: what it makes of an
// event, nil if it drops it.
type stage func(doc bson.Raw) (bson.Raw, error)

// parseStage knows the stages that need one event alone. Whatever it does not
// know is refused when the stream is opened, not when the first event comes.
func parseStage(spec bson.Raw) (stage, error) {
	e, err := spec.IndexErr(0)
	if err != nil {
		return nil, errorf(codeFailedToParse, "a stage of the pipeline is empty")
	}
	fields, isDoc := e.Value().DocumentOK()
	switch name := e.Key(); {
	case name == "$match" && isDoc:
		m, err := parseMatch(fields)
		return func(doc bson.Raw) (bson.Raw, error) {
			if !m(doc) {
				return nil, nil
			}
			return doc, nil
		}, err
	case name == "$project" && isDoc:
		return parseProject(fields)
	case (name == "$addFields" || name == "$set") && isDoc:
		return parseAddFields(fields)
	case name == "$unset":
		exclude := bson.D{}
		if path, ok := e.Value().StringValueOK(); ok {
			exclude = d(path, 0)
		} else if paths, err := e.Value().Array().Values(); err == nil {
			for _, path := range paths {
				text, _ := path.StringValueOK()
				exclude = append(exclude, bson.E{Key: text, Value: 0})
			}
		}
		return parseProject(encode(exclude))
	case name == "$replaceRoot", name == "$replaceWith", name == "$redact":
		return nil, errorf(codeNotImplemented, "the embedded database knows $match, $project, $addFields, $set and $unset behind $changeStream, not %s", name)
	default:
		return nil, errorf(codeIllegalOperation, "%s is not permitted in a $changeStream pipeline", name)
	}
}

// A tree is the paths of a projection by their first names. A leaf has the
// value that its field is to have, or none when the field stays as it is.
type tree struct {
	order []string
	below map[string]*tree
	value func(bson.Raw) (bson.RawValue, bool)
}

func (t *tree) at(path string) (*tree, error) {
	for name := range strings.SplitSeq(path, ".") {
		if name == "" || strings.HasPrefix(name, "$") {
			return nil, errorf(codeFailedToParse, "the path %q of a projection", path)
		}
		sub := t.below[name]
		if sub == nil {
			if t.below == nil {
				t.below = make(map[string]*tree)
			}
			sub = &tree{}
			t.below[name] = sub
			t.order = append(t.order, name)
		}
		t = sub
	}
	return t, nil
}

// parseProject knows the inclusion and the exclusion of fields, and fields
// made of others.
func parseProject(spec bson.Raw) (stage, error) {
	fields, err := spec.Elements()
	if err != nil || len(fields) == 0 {
		return nil, errorf(codeFailedToParse, "$project, $addFields and $unset want at least one field")
	}
	paths, including, excluding, withID := &tree{}, false, false, true
	for _, f := range fields {
		v := f.Value()
		on, isBool := v.BooleanOK()
		if n, isNumber := v.AsFloat64OK(); isNumber {
			on, isBool = n != 0, true
		}
		if isBool && f.Key() == "_id" {
			withID = on
			continue
		}
		including, excluding = including || on || !isBool, excluding || isBool && !on
		leaf, err := paths.at(f.Key())
		if err != nil {
			return nil, err
		}
		if !isBool {
			if leaf.value, err = parseExpression(v); err != nil {
				return nil, err
			}
		}
	}
	if including && excluding {
		return nil, errorf(codeFailedToParse, "a projection either includes or excludes fields")
	}
	if including && withID {
		if _, err := paths.at("_id"); err != nil {
			return nil, err
		}
	}
	if !including && !withID {
		if _, err := paths.at("_id"); err != nil {
			return nil, err
		}
	}
	return func(doc bson.Raw) (bson.Raw, error) { return paths.project(doc, doc, including), nil }, nil
}

func parseAddFields(spec bson.Raw) (stage, error) {
	fields, err := spec.Elements()
	if err != nil {
		return nil, errorf(codeFailedToParse, "$addFields: %v", err)
	}
	paths := &tree{}
	for _, f := range fields {
		leaf, err := paths.at(f.Key())
		if err != nil {
			return nil, err
		}
		if leaf.value, err = parseExpression(f.Value()); err != nil {
			return nil, err
		}
	}
	return func(doc bson.Raw) (bson.Raw, error) { return paths.project(doc, doc, false), nil }, nil
}

// project makes the document that has only the fields of the tree, or all but
// those; fields that are made are made of root. As on a mongod, a field that
// is no document has no fields to include, so null goes.
func (t *tree) project(root, doc bson.Raw, including bool) bson.Raw {
	elements, _ := doc.Elements()
	out := make(bson.D, 0, len(elements))
	seen := make(map[string]bool)
	for _, e := range elements {
		key, v := e.Key(), e.Value()
		sub := t.below[key]
		switch {
		case sub == nil:
			if !including {
				out = append(out, bson.E{Key: key, Value: v})
			}
		case sub.below == nil && sub.value == nil:
			if including {
				out = append(out, bson.E{Key: key, Value: v})
			}
		default:
			seen[key] = true
			if made, ok := sub.projectValue(root, v, including); ok {
				out = append(out, bson.E{Key: key, Value: made})
			}
		}
	}
	for _, key := range t.order {
		if sub := t.below[key]; !seen[key] && sub.makes() {
			if made, ok := sub.projectValue(root, bson.RawValue{}, including); ok {
				out = append(out, bson.E{Key: key, Value: made})
			}
		}
	}
	return encode(out)
}

// makes reports whether the tree has a field that is made.
func (t *tree) makes() bool {
	if t.value != nil {
		return true
	}
	for _, sub := range t.below {
		if sub.makes() {
			return true
		}
	}
	return false
}

func (t *tree) projectValue(root bson.Raw, v bson.RawValue, including bool) (any, bool) {
	if t.value != nil {
		return t.value(root)
	}
	if array, ok := v.ArrayOK(); ok {
		values, _ := array.Values()
		out := bson.A{}
		for _, v := range values {
			if made, ok := t.projectValue(root, v, including); ok {
				out = append(out, made)
			}
		}
		return out, true
	}
	doc, ok := v.DocumentOK()
	if !ok {
		if !t.makes() {
			return v, !including && v.Type != 0
		}
		doc = encode(bson.D{})
	}
	return t.project(root, doc, including), true
}

// parseExpression knows paths of fields, literals, and documents of these.
func parseExpression(v bson.RawValue) (func(bson.Raw) (bson.RawValue, bool), error) {
	if text, ok := v.StringValueOK(); ok && strings.HasPrefix(text, "$") {
		if strings.HasPrefix(text, "$$") {
			return nil, errorf(codeNotImplemented, "the embedded database has no variable %s behind $changeStream", text)
		}
		path := strings.Split(text[1:], ".")
		return func(doc bson.Raw) (bson.RawValue, bool) {
			found, err := doc.LookupErr(path...)
			return found, err == nil
		}, nil
	}
	if doc, ok := v.DocumentOK(); ok {
		fields, _ := doc.Elements()
		if len(fields) == 1 && fields[0].Key() == "$literal" {
			v = fields[0].Value()
		} else if len(fields) > 0 {
			if strings.HasPrefix(fields[0].Key(), "$") {
				return nil, errorf(codeNotImplemented, "the embedded database has no expression %s behind $changeStream", fields[0].Key())
			}
			made := &tree{}
			for _, f := range fields {
				leaf, err := made.at(f.Key())
				if err != nil {
					return nil, err
				}
				if leaf.value, err = parseExpression(f.Value()); err != nil {
					return nil, err
				}
			}
			return func(doc bson.Raw) (bson.RawValue, bool) {
				return bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: made.project(doc, encode(bson.D{}), false)}, true
			}, nil
		}
	}
	return func(bson.Raw) (bson.RawValue, bool) { return v, true }, nil
}
