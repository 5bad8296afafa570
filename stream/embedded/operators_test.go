//go:build !noembed

package embedded

import (
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

func doc(t *testing.T, text string) bson.D {
	t.Helper()
	var d bson.D
	if err := bson.UnmarshalExtJSON([]byte(text), false, &d); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

// Each update of a document that MongoDB's documentation describes does what
// is promised there, or is refused in one sentence: never something else.
// https://www.mongodb.com/docs/manual/reference/operator/update/
func TestUpdateOperators(t *testing.T) {
	client := connect(t, open(t, Config{Dir: t.TempDir()}))
	db := client.Database("statustail")
	c := db.Collection("things")
	const refused = "the embedded database "
	for _, test := range []struct{ name, before, update, want string }{
		{"set", `{"n":1}`, `{"$set":{"n":2,"m":"x"}}`, `{"n":2,"m":"x"}`},
		{"set nothing", `{"n":1}`, `{"$set":{}}`, `{"n":1}`},
		{"set deep", `{"a":{"b":1}}`, `{"$set":{"a.c":2,"d.e":3}}`, `{"a":{"b":1,"c":2},"d":{"e":3}}`},
		{"set null", `{"n":1}`, `{"$set":{"n":null}}`, `{"n":null}`},
		{"set an element", `{"a":[1,2,3]}`, `{"$set":{"a.1":9}}`, `{"a":[1,9,3]}`},
		{"set beyond the end", `{"a":[1]}`, `{"$set":{"a.3":9}}`, `{"a":[1,null,null,9]}`},
		{"set in an element", `{"a":[{"x":1},{"x":2}]}`, `{"$set":{"a.1.x":9}}`, `{"a":[{"x":1},{"x":9}]}`},
		{"set below a scalar", `{"a":1}`, `{"$set":{"a.b":1}}`, "Cannot create field 'b' in element {a: 1}"},
		{"set the _id", `{"n":1}`, `{"$set":{"_id":"other"}}`, "immutable field '_id'"},
		{"set two at one path", `{}`, `{"$set":{"a":1},"$inc":{"a":1}}`, "conflict"},
		{"set two at one path below", `{}`, `{"$set":{"a":{"x":1},"a.b":1}}`, "conflict"},
		{"unset", `{"a":1,"b":{"c":1,"d":2}}`, `{"$unset":{"a":"","b.c":""}}`, `{"b":{"d":2}}`},
		{"unset an element", `{"a":[1,2,3]}`, `{"$unset":{"a.1":""}}`, `{"a":[1,null,3]}`},
		{"unset what is not there", `{"a":1}`, `{"$unset":{"b":"","c.d":""}}`, `{"a":1}`},
		{"inc", `{"n":1}`, `{"$inc":{"n":2,"m":-1,"a.b":1}}`, `{"n":3,"a":{"b":1},"m":-1}`},
		{"inc by a fraction", `{"n":1}`, `{"$inc":{"n":0.5}}`, `{"n":1.5}`},
		{"inc to a long", `{"n":2147483647}`, `{"$inc":{"n":1}}`, `{"n":{"$numberLong":"2147483648"}}`},
		{"inc a string", `{"n":"x"}`, `{"$inc":{"n":1}}`, "non-numeric type"},
		{"inc by a string", `{"n":1}`, `{"$inc":{"n":"x"}}`, "non-numeric argument"},
		{"inc an element", `{"a":[1,2]}`, `{"$inc":{"a.0":5}}`, `{"a":[6,2]}`},
		{"mul", `{"n":3}`, `{"$mul":{"n":2,"m":5}}`, `{"n":6,"m":0}`},
		{"min", `{"n":3,"m":3}`, `{"$min":{"n":2,"m":4,"o":1}}`, `{"n":2,"m":3,"o":1}`},
		{"max", `{"n":3,"m":3}`, `{"$max":{"n":2,"m":4,"o":1}}`, `{"n":3,"m":4,"o":1}`},
		{"max of dates", `{"d":{"$date":"2026-01-01T00:00:00Z"}}`, `{"$max":{"d":{"$date":"2026-02-01T00:00:00Z"}}}`, `{"d":{"$date":"2026-02-01T00:00:00Z"}}`},
		{"rename", `{"a":1,"b":2}`, `{"$rename":{"a":"c"}}`, `{"b":2,"c":1}`},
		{"rename into", `{"a":1}`, `{"$rename":{"a":"b.c"}}`, `{"b":{"c":1}}`},
		{"rename over", `{"a":1,"b":2}`, `{"$rename":{"a":"b"}}`, `{"b":1}`},
		{"rename what is not there", `{"b":2}`, `{"$rename":{"a":"c"}}`, `{"b":2}`},
		{"set on insert", `{"n":1}`, `{"$set":{"m":1},"$setOnInsert":{"n":2}}`, `{"n":1,"m":1}`},
		{"bit", `{"n":13}`, `{"$bit":{"n":{"and":10}}}`, `{"n":8}`},
		{"bit or", `{"n":3}`, `{"$bit":{"n":{"or":5}}}`, `{"n":7}`},
		{"bit xor", `{"n":1}`, `{"$bit":{"n":{"xor":5}}}`, `{"n":4}`},

		{"push", `{"a":[1]}`, `{"$push":{"a":2,"b":1}}`, `{"a":[1,2],"b":[1]}`},
		{"push an array", `{"a":[{"x":1}]}`, `{"$push":{"a":{"x":[1]}}}`, `{"a":[{"x":1},{"x":[1]}]}`},
		{"push deep", `{"a":{"b":[1]}}`, `{"$push":{"a.b":2}}`, `{"a":{"b":[1,2]}}`},
		{"push on a scalar", `{"a":1}`, `{"$push":{"a":2}}`, "must be an array but is of type"},
		{"push each", `{"a":[1]}`, `{"$push":{"a":{"$each":[2,3]}}}`, `{"a":[1,2,3]}`},
		{"push each of nothing", `{}`, `{"$push":{"a":{"$each":[]}}}`, `{"a":[]}`},
		{"push and keep the newest", `{"a":[1,2,3]}`, `{"$push":{"a":{"$each":[4,5],"$slice":-3}}}`, `{"a":[3,4,5]}`},
		{"push and keep the oldest", `{"a":[1,2]}`, `{"$push":{"a":{"$each":[3,4],"$slice":3}}}`, `{"a":[1,2,3]}`},
		{"push and keep none", `{"a":[1,2]}`, `{"$push":{"a":{"$each":[3],"$slice":0}}}`, `{"a":[]}`},
		{"push to a new array with slice", `{}`, `{"$push":{"a.b":{"$each":[1,2,3],"$slice":-2}}}`, `{"a":{"b":[2,3]}}`},
		{"push in front", `{"a":[1,2]}`, `{"$push":{"a":{"$each":[8,9],"$position":0}}}`, `{"a":[8,9,1,2]}`},
		{"push before the last", `{"a":[1,2]}`, `{"$push":{"a":{"$each":[9],"$position":-1}}}`, `{"a":[1,9,2]}`},
		{"push beyond the end", `{"a":[1]}`, `{"$push":{"a":{"$each":[9],"$position":7}}}`, `{"a":[1,9]}`},
		{"push and sort", `{"a":[3,1]}`, `{"$push":{"a":{"$each":[2],"$sort":1}}}`, `{"a":[1,2,3]}`},
		{"push and sort backwards", `{"a":[3,1]}`, `{"$push":{"a":{"$each":[2],"$sort":-1}}}`, `{"a":[3,2,1]}`},
		{"push and sort by fields", `{"a":[{"x":2,"y":1},{"x":1,"y":1}]}`,
			`{"$push":{"a":{"$each":[{"x":1,"y":2}],"$sort":{"x":1,"y":-1},"$slice":2}}}`, `{"a":[{"x":1,"y":2},{"x":1,"y":1}]}`},
		{"push with sort on a scalar", `{"a":1}`, `{"$push":{"a":{"$each":[1],"$sort":1}}}`, "must be an array but is of type"},
		{"push with a slice of words", `{"a":[1]}`, `{"$push":{"a":{"$each":[1],"$slice":"x"}}}`, "must be an integer"},
		{"push with what there is not", `{"a":[1]}`, `{"$push":{"a":{"$each":[1],"$foo":1}}}`, "Unrecognized clause"},
		{"push and set", `{"a":[1]}`, `{"$push":{"a":{"$each":[2],"$slice":-1}},"$set":{"b":1}}`, `{"a":[2],"b":1}`},
		{"push twice at one path", `{"a":[1]}`, `{"$push":{"a":{"$each":[2],"$slice":-1}},"$set":{"a":1}}`, "conflict"},

		{"add to a set", `{"a":[1]}`, `{"$addToSet":{"a":1}}`, `{"a":[1]}`},
		{"add to a set what is new", `{"a":[1]}`, `{"$addToSet":{"a":2,"b":1}}`, `{"a":[1,2],"b":[1]}`},
		{"add each to a set", `{"a":[1]}`, `{"$addToSet":{"a":{"$each":[1,2,2,3]}}}`, `{"a":[1,2,3]}`},
		{"pop", `{"a":[1,2,3]}`, `{"$pop":{"a":1}}`, `{"a":[1,2]}`},
		{"pop the first", `{"a":[1,2,3]}`, `{"$pop":{"a":-1}}`, `{"a":[2,3]}`},
		{"pull", `{"a":[1,2,1]}`, `{"$pull":{"a":1}}`, `{"a":[2]}`},
		{"pull by condition", `{"a":[1,5,9]}`, `{"$pull":{"a":{"$gte":5}}}`, `{"a":[1]}`},
		{"pull by two", `{"a":[1,5,9]}`, `{"$pull":{"a":{"$gte":5,"$lt":9}}}`, `{"a":[1,9]}`},
		{"pull what is in", `{"a":[1,5,9]}`, `{"$pull":{"a":{"$in":[1,9]}}}`, `{"a":[5]}`},
		{"pull documents", `{"a":[{"x":1,"y":1},{"x":2,"y":1}]}`, `{"$pull":{"a":{"x":1}}}`, `{"a":[{"x":2,"y":1}]}`},
		{"pull documents by condition", `{"a":[{"x":1},{"x":2}]}`, `{"$pull":{"a":{"x":{"$gt":1}}}}`, `{"a":[{"x":1}]}`},
		{"pull from what is not there", `{"b":1}`, `{"$pull":{"a":{"x":1}}}`, `{"b":1}`},
		{"pull from a scalar", `{"a":1}`, `{"$pull":{"a":{"$gt":1}}}`, "non-array"},
		{"pull all", `{"a":[1,2,3,1]}`, `{"$pullAll":{"a":[1,3]}}`, `{"a":[2]}`},

		{"replace", `{"a":1,"b":2}`, `{"c":3}`, `{"c":3}`},
		{"replace with nothing", `{"a":1}`, `{}`, `{}`},
		{"replace with another _id", `{"a":1}`, `{"_id":"other","a":1}`, "immutable field '_id'"},
		{"an operator there is not", `{}`, `{"$foo":{"a":1}}`, "Unknown modifier: $foo"},
		{"operators and fields", `{}`, `{"$set":{"a":1},"b":2}`, "dollar ($) prefixed field is not allowed"},
		{"positional", `{"a":[1]}`, `{"$set":{"a.$":2}}`, refused + "has no positional operators"},
		{"all positional", `{"a":[1]}`, `{"$set":{"a.$[]":2}}`, refused + "has no positional operators"},
		{"filtered positional", `{"a":[1]}`, `{"$inc":{"a.$[i].x":2}}`, refused + "has no positional operators"},
		{"a decimal", `{}`, `{"$set":{"a":{"$numberDecimal":"1.5"}}}`, refused + "has no values of type"},
		{"a smallest key", `{}`, `{"$set":{"a":{"$minKey":1}}}`, refused + "has no values of type"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, way := range []string{"update", "findAndModify"} {
				id := d("_id", test.name+" by "+way)
				must(c.InsertOne(t.Context(), append(id, doc(t, test.before)...)))(t)
				cmd := d("findAndModify", "things", "query", id, "update", doc(t, test.update), "new", true)
				if way == "update" {
					cmd = d("update", "things", "updates", bson.A{d("q", id, "u", doc(t, test.update))})
				}
				err := db.RunCommand(t.Context(), cmd).Err()
				if !strings.HasPrefix(test.want, "{") {
					if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
						t.Errorf("%s: it says %v, want %q", way, err, test.want)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", way, err)
					continue
				}
				got := must(c.FindOne(t.Context(), id).Raw())(t)
				want := bson.Raw(must(bson.Marshal(append(id, doc(t, test.want)...)))(t))
				if got.String() != want.String() {
					t.Errorf("%s: got %s, want %s", way, got, want)
				}
			}
		})
	}
}

// What an upsert makes of a query, an update and nothing.
func TestUpserts(t *testing.T) {
	client := connect(t, open(t, Config{Dir: t.TempDir()}))
	c := client.Database("statustail").Collection("things")
	for _, test := range []struct{ name, query, update, want string }{
		{"by _id", `{"_id":"a"}`, `{"$set":{"n":1}}`, `{"_id":"a","n":1}`},
		{"on insert", `{"_id":"b"}`, `{"$set":{"n":1},"$setOnInsert":{"m":2}}`, `{"_id":"b","m":2,"n":1}`},
		{"equalities", `{"_id":"c","x":3,"y":{"$eq":4},"z":{"$gt":5}}`, `{"$set":{"n":1}}`, `{"_id":"c","n":1,"x":3,"y":4}`},
		{"equalities inside and", `{"_id":"d","$and":[{"x":3},{"y":{"$eq":4}}]}`, `{"$set":{"n":1}}`, `{"_id":"d","n":1,"x":3,"y":4}`},
		{"a path", `{"_id":"e","x.y":3}`, `{"$set":{"n":1}}`, `{"_id":"e","n":1,"x":{"y":3}}`},
		{"push with slice", `{"_id":"f"}`, `{"$push":{"a":{"$each":[1,2,3],"$slice":-2}}}`, `{"_id":"f","a":[2,3]}`},
		{"inc", `{"_id":"g"}`, `{"$inc":{"n":2},"$max":{"m":1}}`, `{"_id":"g","m":1,"n":2}`},
		{"replace", `{"_id":"h","x":1}`, `{"y":2}`, `{"_id":"h","y":2}`},
		{"pull from nothing", `{"_id":"i"}`, `{"$pull":{"a":{"$gt":1}},"$set":{"n":1}}`, `{"_id":"i","n":1}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := client.Database("statustail").RunCommand(t.Context(), bson.D{{Key: "update", Value: "things"}, {Key: "updates", Value: bson.A{
				bson.D{{Key: "q", Value: doc(t, test.query)}, {Key: "u", Value: doc(t, test.update)}, {Key: "upsert", Value: true}},
			}}}).Err()
			if err != nil {
				t.Fatal(err)
			}
			want := doc(t, test.want)
			var got bson.M
			if err := c.FindOne(t.Context(), want[:1]).Decode(&got); err != nil {
				t.Fatal(err)
			}
			wantText, _ := bson.MarshalExtJSON(sorted(want), false, false)
			gotText, _ := bson.MarshalExtJSON(sorted(got), false, false)
			if string(gotText) != string(wantText) {
				t.Errorf("got %s, want %s", gotText, wantText)
			}
		})
	}
	n, err := c.UpdateOne(t.Context(), bson.D{{Key: "x", Value: 99}}, bson.D{{Key: "$set", Value: bson.D{{Key: "n", Value: 1}}}})
	if err != nil || n.MatchedCount != 0 {
		t.Errorf("without upsert it matched %+v, %v", n, err)
	}
}

// sorted is a document by the names of its fields.
func sorted(v any) bson.D {
	raw, _ := bson.Marshal(v)
	var m bson.M
	_ = bson.Unmarshal(raw, &m)
	var d bson.D
	for key := range m {
		d = append(d, bson.E{Key: key, Value: m[key]})
	}
	slices.SortFunc(d, func(a, b bson.E) int { return strings.Compare(a.Key, b.Key) })
	return d
}

// What cannot be done is refused in one sentence that says what.
func TestRefusals(t *testing.T) {
	client := connect(t, open(t, Config{Dir: t.TempDir()}))
	db := client.Database("statustail")
	if _, err := db.Collection("things").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "x"}, {Key: "n", Value: 1}}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, command, want string }{
		{"a pipeline in an update", `{"update":"things","updates":[{"q":{},"u":[{"$set":{"a":1}}]}]}`, "has no pipelines in updates"},
		{"array filters", `{"update":"things","updates":[{"q":{},"u":{"$set":{"a":1}},"arrayFilters":[{"i":1}]}]}`, "has no arrayFilters"},
		{"a collation", `{"update":"things","updates":[{"q":{},"u":{"$set":{"a":1}},"collation":{"locale":"de"}}]}`, "has no collations"},
		{"a collation of a delete", `{"delete":"things","deletes":[{"q":{},"limit":0,"collation":{"locale":"de"}}]}`, "has no collations"},
		{"an update of no statements", `{"update":"things","updates":[]}`, "Write batch sizes must be between 1 and"},
		{"a collation of a query", `{"find":"things","filter":{},"collation":{"locale":"de"}}`, "cannot do this"},
		{"a collation of an aggregation", `{"aggregate":"things","pipeline":[],"cursor":{},"collation":{"locale":"de"}}`, "cannot do this"},
		{"variables", `{"find":"things","filter":{"$expr":{"$eq":["$n","$$v"]}},"let":{"v":1}}`, "the embedded database"},
		{"a transaction", `{"find":"things","txnNumber":{"$numberLong":"1"},"startTransaction":true,"autocommit":false}`, "has no transactions"},
		{"a commit", `{"commitTransaction":1}`, "has no command commitTransaction"},
		{"a look-up", `{"aggregate":"things","pipeline":[{"$lookup":{"from":"a","localField":"b","foreignField":"c","as":"d"}}],"cursor":{}}`, "cannot do this: `aggregate` stage \"$lookup\""},
		{"writing what was aggregated", `{"aggregate":"things","pipeline":[{"$out":"elsewhere"}],"cursor":{}}`, "has no stage $out"},
		{"merging it", `{"aggregate":"things","pipeline":[{"$merge":"elsewhere"}],"cursor":{}}`, "has no stage $merge"},
		{"an expression", `{"find":"things","filter":{"$expr":{"$lt":["$a","$b"]}}}`, "cannot do this"},
		{"an index that expires", `{"createIndexes":"things","indexes":[{"key":{"at":1},"name":"at_1","expireAfterSeconds":1}]}`, "cannot do this"},
		{"a partial index", `{"createIndexes":"things","indexes":[{"key":{"at":1},"name":"at_1","partialFilterExpression":{"a":1}}]}`, "cannot do this"},
		{"a validator", `{"create":"other","validator":{"a":1}}`, "cannot do this"},
		{"map and reduce", `{"mapReduce":"things"}`, "has no command mapReduce"},
		{"a snapshot", `{"find":"things","readConcern":{"level":"snapshot"}}`, "has no read concern snapshot"},
		{"images of documents", `{"aggregate":1,"pipeline":[{"$changeStream":{"fullDocument":"required"}}],"cursor":{}}`, "keeps no images"},
		{"images from before", `{"aggregate":1,"pipeline":[{"$changeStream":{"fullDocumentBeforeChange":"required"}}],"cursor":{}}`, "keeps no images"},
		{"an option of change streams", `{"aggregate":1,"pipeline":[{"$changeStream":{"foo":1}}],"cursor":{}}`, "knows no option foo"},
		{"another stage behind one", `{"aggregate":1,"pipeline":[{"$changeStream":{}},{"$redact":"$$KEEP"}],"cursor":{}}`, "not $redact"},
		{"a group behind one", `{"aggregate":1,"pipeline":[{"$changeStream":{}},{"$group":{"_id":1}}],"cursor":{}}`, "$group is not permitted in a $changeStream pipeline"},
		{"an operator behind one", `{"aggregate":1,"pipeline":[{"$changeStream":{}},{"$match":{"a":{"$where":"x"}}}],"cursor":{}}`, "does not know $where"},
		{"a time to come", `{"find":"things","readConcern":{"afterClusterTime":{"$timestamp":{"t":4000000000,"i":1}}}}`, "must not be greater than the current clusterTime"},
		{"retrying many", `{"update":"things","updates":[{"q":{},"u":{"$set":{"a":1}},"multi":true}],"lsid":{"id":{"$binary":{"base64":"MDEyMzQ1Njc4OWFiY2RlZg==","subType":"04"}}},"txnNumber":{"$numberLong":"1"}}`, "retryable writes with multi=true"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := run(t, client, "statustail", doc(t, test.command))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
				t.Errorf("it says %v, want %q", err, test.want)
			}
		})
	}
	var got bson.M
	if err := db.Collection("things").FindOne(t.Context(), bson.D{}).Decode(&got); err != nil || len(got) != 2 {
		t.Errorf("the document is %v, %v", got, err)
	}
	if err := run(t, client, "statustail", doc(t, `{"insert":"things","documents":[{"a":1}],"writeConcern":{"w":3}}`)); err == nil || !strings.Contains(err.Error(), "Not enough data-bearing nodes") {
		t.Errorf("three members acknowledged: %v", err)
	}
}

func run(t *testing.T, client *mongo.Client, db string, cmd bson.D) error {
	t.Helper()
	return client.Database(db).RunCommand(t.Context(), cmd).Err()
}
