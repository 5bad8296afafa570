package tail

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"statustail/stream/change"
)

// Where FerretDB logs its writes.
const (
	logDatabase   = "local"
	logCollection = "oplog.rs"
	logSize       = 64 << 20
)

// A shape is which collections a FerretDB has, by their UUIDs. FerretDB does
// not log drops and renames; they show in the shape.
type shape struct {
	log         string            // of the log of writes, empty if there is none
	collections map[string]string // of the followed database, by name
}

func readShape(ctx context.Context, client *mongo.Client, database string) (shape, error) {
	s := shape{collections: make(map[string]string)}
	specs, err := client.Database(database).ListCollectionSpecifications(ctx, bson.D{})
	if err != nil {
		return s, err
	}
	for _, spec := range specs {
		s.collections[spec.Name] = uuid(spec)
	}
	s.log, err = logUUID(ctx, client)
	return s, err
}

func logUUID(ctx context.Context, client *mongo.Client) (string, error) {
	specs, err := client.Database(logDatabase).ListCollectionSpecifications(ctx, bson.D{{Key: "name", Value: logCollection}})
	if err != nil || len(specs) == 0 {
		return "", err
	}
	return uuid(specs[0]), nil
}

// makeLog makes the log of writes, which someone has dropped, and returns its
// UUID.
func makeLog(ctx context.Context, client *mongo.Client) (string, error) {
	err := client.Database(logDatabase).RunCommand(ctx, bson.D{
		{Key: "create", Value: logCollection}, {Key: "capped", Value: true}, {Key: "size", Value: logSize},
	}).Err()
	if err != nil {
		return "", err
	}
	return logUUID(ctx, client)
}

func uuid(spec mongo.CollectionSpecification) string {
	if spec.UUID == nil {
		return "-"
	}
	return string(spec.UUID.Data)
}

// lost reports whether a collection that matters was dropped, renamed or
// replaced by a rename since. One that is merely new has all its documents in
// the log.
func (s shape) lost(now shape) bool {
	known := make(map[string]bool, len(s.collections))
	for _, id := range s.collections {
		known[id] = true
	}
	for _, name := range []string{change.Pages, change.Components, change.Issues, change.Events} {
		was, is := s.collections[name], now.collections[name]
		if was != is && (was != "" || known[is]) {
			return true
		}
	}
	return false
}
