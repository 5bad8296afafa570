package store

import (
	"fmt"
	"regexp"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// matches evaluates the part of $jsonSchema that the validators use, by the
// rules of MongoDB's manual, and says what does not match.
func matches(schema bson.Raw, v bson.RawValue) string {
	elements, _ := schema.Elements()
	for _, e := range elements {
		rule := e.Value()
		switch key := e.Key(); key {
		case "bsonType":
			if !hasType(rule, v) {
				return fmt.Sprintf("is %s, not %v", v.Type, rule)
			}
		case "enum":
			if !anyOf(rule, func(word bson.RawValue) bool { return word.Equal(v) }) {
				return fmt.Sprintf("%v is none of %v", v, rule)
			}
		case "pattern":
			if s, ok := v.StringValueOK(); ok && !regexp.MustCompile(rule.StringValue()).MatchString(s) {
				return fmt.Sprintf("%v does not match %v", v, rule)
			}
		case "minimum", "maximum":
			x, ok := v.AsFloat64OK()
			if !ok {
				continue
			}
			if limit := rule.AsFloat64(); key == "minimum" && x < limit || key == "maximum" && x > limit {
				return fmt.Sprintf("%v is beyond %v", x, limit)
			}
		case "required":
			if v.Type == bson.TypeEmbeddedDocument && anyOf(rule, func(name bson.RawValue) bool {
				return v.Document().Lookup(name.StringValue()).Type == 0
			}) {
				return fmt.Sprintf("one of %v is missing", rule)
			}
		case "properties":
			if v.Type != bson.TypeEmbeddedDocument {
				continue
			}
			properties, _ := rule.Document().Elements()
			for _, p := range properties {
				if field := v.Document().Lookup(p.Key()); field.Type != 0 {
					if why := matches(p.Value().Document(), field); why != "" {
						return p.Key() + ": " + why
					}
				}
			}
		case "items":
			if v.Type != bson.TypeArray {
				continue
			}
			items, _ := v.Array().Values()
			for i, item := range items {
				if why := matches(rule.Document(), item); why != "" {
					return fmt.Sprintf("%d: %s", i, why)
				}
			}
		case "anyOf":
			if !anyOf(rule, func(s bson.RawValue) bool { return matches(s.Document(), v) == "" }) {
				return "matches no alternative"
			}
		default:
			return "the evaluator does not know " + key
		}
	}
	return ""
}

func anyOf(list bson.RawValue, is func(bson.RawValue) bool) bool {
	values, _ := list.Array().Values()
	for _, v := range values {
		if is(v) {
			return true
		}
	}
	return false
}

func hasType(rule, v bson.RawValue) bool {
	if rule.Type == bson.TypeArray {
		return anyOf(rule, func(one bson.RawValue) bool { return hasType(one, v) })
	}
	return map[string]bson.Type{
		"string": bson.TypeString, "object": bson.TypeEmbeddedDocument, "array": bson.TypeArray,
		"bool": bson.TypeBoolean, "date": bson.TypeDateTime, "null": bson.TypeNull,
		"int": bson.TypeInt32, "long": bson.TypeInt64, "double": bson.TypeDouble,
	}[rule.StringValue()] == v.Type
}
