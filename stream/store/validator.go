package store

import (
	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/schema"
)

// validator is the $jsonSchema of a collection: what decoding takes without a
// complaint, and nothing about other fields, so that applications may keep
// their own. Absent and null mean the same everywhere. One thing is asked for
// that decoding can do without: an issue's created_at, which it reads from an
// ObjectID where there is one.
func validator(collection string) bson.D {
	var required []string
	var properties bson.D
	switch collection {
	case schema.Pages:
		required = []string{"_id", "name"}
		properties = bson.D{
			{Key: "_id", Value: pattern(schema.SlugPattern)},
			{Key: "name", Value: someText},
			{Key: "url", Value: optional("string")},
			{Key: "hosts", Value: listOf(typed("string"))},
			{Key: "origins", Value: listOf(typed("string"))},
			{Key: "private", Value: optional("bool")},
			{Key: "locale", Value: optional("string")},
			{Key: "time_zone", Value: optional("string")},
		}
	case schema.Components:
		required = []string{"page", "name"}
		properties = bson.D{
			{Key: "page", Value: pattern(schema.SlugPattern)},
			{Key: "name", Value: someText},
			{Key: "description", Value: optional("string")},
			{Key: "group", Value: optional("string")},
			{Key: "position", Value: optional("int", "long", "double")},
			{Key: "state", Value: stateWord},
			{Key: "history", Value: listOf(object([]string{"at"}, bson.D{
				{Key: "state", Value: stateWord},
				{Key: "at", Value: typed("date")},
			}))},
		}
	case schema.Issues:
		required = []string{"page", "title", "created_at"}
		properties = bson.D{
			{Key: "page", Value: pattern(schema.SlugPattern)},
			{Key: "title", Value: someText},
			{Key: "body", Value: optional("string")},
			{Key: "label", Value: optional("string")},
			{Key: "kind", Value: oneOf("incident", "maintenance", "informational")},
			{Key: "state", Value: stateWord},
			{Key: "components", Value: optional("array")},
			{Key: "schedule", Value: nullOr(object([]string{"starts_at"}, bson.D{
				{Key: "starts_at", Value: typed("date")},
				{Key: "ends_at", Value: optional("date")},
			}))},
			{Key: "progress", Value: bson.D{
				{Key: "bsonType", Value: bson.A{"int", "long", "double", "null"}},
				{Key: "minimum", Value: 0}, {Key: "maximum", Value: 100},
			}},
			{Key: "began_at", Value: optional("date")},
			{Key: "ended_at", Value: optional("date")},
			{Key: "resolved_at", Value: optional("date")},
			{Key: "cancelled_at", Value: optional("date")},
			{Key: "updates", Value: listOf(object([]string{"created_at"}, bson.D{
				{Key: "label", Value: optional("string")},
				{Key: "body", Value: optional("string")},
				{Key: "state", Value: stateWord},
				{Key: "created_at", Value: typed("date")},
				{Key: "resolved_at", Value: optional("date")},
			}))},
		}
	case schema.Events:
		required = []string{"page", "name", "created_at"}
		properties = bson.D{
			{Key: "page", Value: pattern(schema.SlugPattern)},
			{Key: "name", Value: pattern(schema.EventNamePattern + `|^\$changed$`)},
			{Key: "key", Value: optional("string")},
		}
	}
	for _, field := range []string{"created_at", "updated_at"} {
		properties = append(properties, bson.E{Key: field, Value: optional("date")})
	}
	return bson.D{{Key: "$jsonSchema", Value: object(required, properties)}}
}

var (
	stateWord = oneOf("operational", "degraded", "partial_outage", "outage")
	someText  = pattern(`\S`)
)

func object(required []string, properties bson.D) bson.D {
	return bson.D{{Key: "bsonType", Value: "object"}, {Key: "required", Value: required}, {Key: "properties", Value: properties}}
}

func typed(bsonType string) bson.D { return bson.D{{Key: "bsonType", Value: bsonType}} }

func optional(bsonTypes ...string) bson.D {
	return bson.D{{Key: "bsonType", Value: append(bsonTypes, "null")}}
}

func pattern(re string) bson.D {
	return bson.D{{Key: "bsonType", Value: "string"}, {Key: "pattern", Value: re}}
}

func oneOf(words ...any) bson.D { return bson.D{{Key: "enum", Value: append(words, nil)}} }

func listOf(items bson.D) bson.D {
	return bson.D{{Key: "bsonType", Value: bson.A{"array", "null"}}, {Key: "items", Value: items}}
}

func nullOr(schema bson.D) bson.D {
	return bson.D{{Key: "anyOf", Value: bson.A{typed("null"), schema}}}
}
