package tail

import (
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"statustail/stream/schema"
)

// pipeline has the server pass on only what matters. Projected are the fields
// of messages, and what an update touched; of other documents only the page is
// needed, but they have few of these names and a projection cannot tell
// collections apart. The _id of an
// event, its token, has to stay as it is.
func pipeline() mongo.Pipeline {
	ours := bson.D{{Key: "$in", Value: bson.A{schema.Pages, schema.Components, schema.Issues, schema.Events}}}
	return mongo.Pipeline{
		{{Key: "$match", Value: bson.D{{Key: "$or", Value: bson.A{
			bson.D{
				{Key: "ns.coll", Value: ours},
				{Key: "operationType", Value: bson.D{{Key: "$in", Value: bson.A{"insert", "update", "replace", "delete", "drop", "rename"}}}},
			},
			bson.D{{Key: "to.coll", Value: ours}},
			bson.D{{Key: "operationType", Value: bson.D{{Key: "$in", Value: bson.A{"dropDatabase", "invalidate"}}}}},
		}}}}},
		{{Key: "$project", Value: bson.D{
			{Key: "operationType", Value: 1},
			{Key: "clusterTime", Value: 1},
			{Key: "ns", Value: 1},
			{Key: "to", Value: 1},
			{Key: "documentKey", Value: 1},
			{Key: "fullDocument._id", Value: 1},
			{Key: "fullDocument.page", Value: 1},
			{Key: "fullDocument.name", Value: 1},
			{Key: "fullDocument.data", Value: 1},
			{Key: "fullDocument.key", Value: 1},
			{Key: "fullDocument.created_at", Value: 1},
			{Key: "updateDescription.updatedFields", Value: 1},
			{Key: "updateDescription.removedFields", Value: 1},
		}}},
	}
}
