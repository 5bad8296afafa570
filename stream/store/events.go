package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/mongodb"
	"statustail/stream/schema"
)

// checkEventName accepts what an application may call an event.
func checkEventName(name string) error {
	if !schema.IsEventName(name) {
		return invalid("name", "%q: want 1 to 64 of a-z, 0-9, _, . and -, beginning with a letter", clip(name))
	}
	if schema.Reserved(name) {
		return invalid("name", "%q is an event of the protocol's own", name)
	}
	return nil
}

// An EventInput is a message of the application to the subscribers of a page.
type EventInput struct {
	Page string
	Name string
	// Key, unless empty, lets a later event with the same name and key
	// replace this one for readers that lag.
	Key string
	// Data is one JSON value.
	Data []byte
}

// Publish writes an event for the page's subscribers, and gives its id.
func (s *Store) Publish(ctx context.Context, in EventInput) (id string, err error) {
	if err := CheckSlug(in.Page); err != nil {
		return "", err
	}
	if err := checkEventName(in.Name); err != nil {
		return "", err
	}
	if err := checkLine("key", in.Key); err != nil {
		return "", err
	}
	if len(in.Key) > schema.MaxKey {
		return "", invalid("key", "is too long: want at most %d bytes", schema.MaxKey)
	}
	data, err := decodeJSON(in.Data)
	if err != nil {
		return "", err
	}
	if err := checkData(data); err != nil {
		return "", err
	}
	if err := s.requirePage(ctx, in.Page); err != nil {
		return "", err
	}
	oid := bson.NewObjectID()
	doc := bson.D{
		{Key: "_id", Value: oid},
		{Key: "page", Value: in.Page},
		{Key: "name", Value: in.Name},
		{Key: "data", Value: data},
		{Key: "created_at", Value: s.clock()},
	}
	if in.Key != "" {
		doc = append(doc, bson.E{Key: "key", Value: in.Key})
	}
	if _, err := s.events().InsertOne(ctx, doc); err != nil {
		return "", s.explain("publish the event", err)
	}
	return oid.Hex(), nil
}

// TrimEvents removes the events written before a moment, and says how many:
// where no TTL index does. A capped collection removes its own.
func (s *Store) TrimEvents(ctx context.Context, before time.Time) (removed int64, err error) {
	result, err := s.events().DeleteMany(ctx, bson.D{{Key: "created_at", Value: bson.D{{Key: "$lt", Value: before}}}})
	if err != nil {
		return 0, s.explain("trim events", err)
	}
	return result.DeletedCount, nil
}

// checkData accepts a value that those who follow the database will pass on:
// what counts is how long it is as the JSON that they make of it.
func checkData(data any) error {
	doc, err := bson.Marshal(bson.D{{Key: "data", Value: data}})
	if err != nil {
		return invalid("data", "cannot be kept in a database: %v", err)
	}
	sent, err := mongodb.AppendJSON(nil, bson.Raw(doc).Lookup("data"))
	switch {
	case err != nil:
		return invalid("data", "cannot be sent: %v", err)
	case len(sent) > schema.MaxData:
		return tooLong(len(sent))
	}
	return nil
}

func tooLong(n int) error {
	return invalid("data", "is too long: %d bytes as it would be sent, want at most %d", n, schema.MaxData)
}

// decodeJSON reads one JSON value as BSON, keeping the order of fields. It is
// plain JSON, not MongoDB's extended one.
func decodeJSON(data []byte) (any, error) {
	switch {
	case len(data) > 4*schema.MaxData: // white space and all
		return nil, tooLong(len(data))
	case !utf8.Valid(data):
		return nil, invalid("data", "is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return v, nil
		}
		err = errors.New("something follows the value")
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = errors.New("it ends too early")
	}
	return nil, invalid("data", "is not JSON that can be published: %v", err)
}

// maxDepth is how deeply values may nest: MongoDB allows 100 levels in all.
const maxDepth = 80

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it nests deeper than %d levels", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			array := bson.A{}
			for d.More() {
				v, err := decodeValue(d, depth+1)
				if err != nil {
					return nil, err
				}
				array = append(array, v)
			}
			_, err := d.Token()
			return array, err
		}
		doc, named := bson.D{}, map[string]bool{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			name := key.(string)
			switch {
			case strings.ContainsRune(name, 0) || strings.HasPrefix(name, "$"):
				return nil, fmt.Errorf("databases cannot keep a field named %.40q", name)
			case named[name]:
				return nil, fmt.Errorf("the field %.40q is there twice", name)
			}
			named[name] = true
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			doc = append(doc, bson.E{Key: name, Value: v})
		}
		_, err := d.Token()
		return doc, err
	case json.Number:
		if n, err := token.Int64(); err == nil {
			return n, nil
		}
		f, err := token.Float64()
		if err != nil {
			return nil, fmt.Errorf("the number %.40s is out of range", token)
		}
		return f, nil
	}
	return token, nil
}
