package mongotest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"statustail/stream/embedded"
)

// effects reads what a write did from the log of the database behind. Since
// writes are serialised, everything in it that was not there before is of the
// last one.
type effects struct {
	seen map[bson.ObjectID]struct{}
}

// trimAt is how long the log behind may become: it is read at every write.
const trimAt = 16

func (e *effects) read(ctx context.Context, db *embedded.DB, client *mongo.Client) ([]entry, error) {
	cursor, err := client.Database(embedded.LogDatabase).Collection(embedded.LogCollection).Find(ctx, bson.D{})
	if err != nil {
		return nil, err
	}
	var raws []bson.Raw
	if err := cursor.All(ctx, &raws); err != nil {
		return nil, err
	}
	seen := make(map[bson.ObjectID]struct{}, len(raws))
	var fresh []bson.Raw
	for _, raw := range raws {
		id := raw.Lookup("_id").ObjectID()
		if _, known := e.seen[id]; !known {
			fresh = append(fresh, raw)
		}
		seen[id] = struct{}{}
	}
	e.seen = seen
	slices.SortFunc(fresh, func(a, b bson.Raw) int {
		at, ai := a.Lookup("ts").Timestamp()
		bt, bi := b.Lookup("ts").Timestamp()
		return cmp.Or(cmp.Compare(at, bt), cmp.Compare(ai, bi))
	})
	var entries []entry
	for _, raw := range fresh {
		db, collection, _ := strings.Cut(raw.Lookup("ns").StringValue(), ".")
		doc := raw.Lookup("o").Document()
		en := entry{db: db, collection: collection}
		switch raw.Lookup("op").StringValue() {
		case "i":
			en.operation, en.document = "insert", doc
		case "u":
			en.operation, en.document = "update", doc.Lookup("$set").Document()
			doc = en.document
		case "d":
			en.operation = "delete"
		}
		en.id = doc.Lookup("_id")
		entries = append(entries, en)
	}
	if len(raws) > trimAt {
		ids := make([]bson.ObjectID, 0, len(seen))
		for id := range seen {
			ids = append(ids, id)
		}
		if err := db.Trim(ctx, ids); err != nil {
			return nil, err
		}
		e.seen = nil
	}
	return entries, nil
}
