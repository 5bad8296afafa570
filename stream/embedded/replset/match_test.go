package replset

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func fromJSON(t testing.TB, text string) bson.Raw {
	t.Helper()
	var doc bson.D
	if err := bson.UnmarshalExtJSON([]byte(text), false, &doc); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return encode(doc)
}

// Queries mean what MongoDB's documentation says:
// https://www.mongodb.com/docs/manual/reference/operator/query/
func TestMatch(t *testing.T) {
	const doc = `{"_id":"x","n":5,"big":{"$numberLong":"9007199254740993"},"f":2.5,"s":"Acme","none":null,"yes":true,
		"d":{"$date":"2026-01-02T00:00:00Z"},"a":[1,5,9],"e":[],"sub":{"x":1,"y":[{"z":1},{"z":2,"w":3}]},"ts":{"$timestamp":{"t":5,"i":1}}}`
	for query, want := range map[string]bool{
		`{}`:                                 true,
		`{"n":5}`:                            true,
		`{"n":5.0}`:                          true,
		`{"n":{"$numberLong":"5"}}`:          true,
		`{"n":6}`:                            false,
		`{"big":{"$gt":9007199254740992.0}}`: true,
		`{"big":{"$eq":9007199254740992.0}}`: false,
		`{"f":{"$gt":2,"$lt":3}}`:            true,
		`{"f":{"$lte":2}}`:                   false,
		`{"n":{"$gt":"4"}}`:                  false,
		`{"s":{"$gte":"Ac","$lt":"Ad"}}`:     true,
		`{"none":null}`:                      true,
		`{"gone":null}`:                      true,
		`{"n":null}`:                         false,
		`{"none":{"$exists":true}}`:          true,
		`{"gone":{"$exists":false}}`:         true,
		`{"gone":{"$exists":1}}`:             false,
		`{"sub.x":{"$exists":true}}`:         true,
		`{"n":{"$ne":5}}`:                    false,
		`{"gone":{"$ne":5}}`:                 true,
		`{"n":{"$in":[1,5]}}`:                true,
		`{"s":{"$in":[{"$regularExpression":{"pattern":"^Ac","options":""}}]}}`: true,
		`{"gone":{"$in":[null]}}`:                        true,
		`{"n":{"$nin":[1,5]}}`:                           false,
		`{"a":5}`:                                        true,
		`{"a":[1,5,9]}`:                                  true,
		`{"a":[5,1,9]}`:                                  false,
		`{"a.1":5}`:                                      true,
		`{"a.0":5}`:                                      false,
		`{"a":{"$gt":8}}`:                                true,
		`{"a":{"$size":3}}`:                              true,
		`{"a":{"$elemMatch":{"$gt":1,"$lt":9}}}`:         true,
		`{"a":{"$elemMatch":{"$gt":5,"$lt":9}}}`:         false,
		`{"e":{"$size":0}}`:                              true,
		`{"sub.y.z":2}`:                                  true,
		`{"sub.y.w":null}`:                               true,
		`{"sub.y":{"$elemMatch":{"z":2,"w":3}}}`:         true,
		`{"sub.y":{"$elemMatch":{"z":1,"w":3}}}`:         false,
		`{"sub":{"x":1}}`:                                false,
		`{"s":{"$regex":"^ac","$options":"i"}}`:          true,
		`{"s":{"$regex":"^ac"}}`:                         false,
		`{"s":{"$not":{"$regex":"^B"}}}`:                 true,
		`{"n":{"$not":{"$gt":4}}}`:                       false,
		`{"$and":[{"n":5},{"s":"Acme"}]}`:                true,
		`{"$and":[{"n":5},{"s":"B"}]}`:                   false,
		`{"$or":[{"n":1},{"s":"Acme"}]}`:                 true,
		`{"$or":[{"n":1},{"s":"B"}]}`:                    false,
		`{"$nor":[{"n":1},{"s":"B"}]}`:                   true,
		`{"$nor":[{"n":5}]}`:                             false,
		`{"d":{"$gt":{"$date":"2026-01-01T00:00:00Z"}}}`: true,
		`{"ts":{"$gte":{"$timestamp":{"t":5,"i":0}}}}`:   true,
		`{"yes":true,"$comment":"why"}`:                  true,
	} {
		m, err := parseMatch(fromJSON(t, query))
		if err != nil {
			t.Errorf("%s: %v", query, err)
		} else if got := m(fromJSON(t, doc)); got != want {
			t.Errorf("%s is %v", query, got)
		}
	}
	for _, query := range []string{
		`{"$where":"1"}`, `{"$expr":{"$gt":["$a",1]}}`, `{"n":{"$type":"int"}}`, `{"n":{"$mod":[4,0]}}`, `{"$and":[]}`, `{"n":{"$in":5}}`,
		`{"s":{"$regex":"(?=x)"}}`, `{"s":{"$regex":"x","$options":"x"}}`, `{"n":{"$not":5}}`,
	} {
		if _, err := parseMatch(fromJSON(t, query)); err == nil {
			t.Errorf("%s is accepted", query)
		}
	}
}

func TestStages(t *testing.T) {
	const doc = `{"_id":{"_data":"82"},"operationType":"update","ns":{"db":"d","coll":"c"},"documentKey":{"_id":7},"fullDocument":null,"list":[{"a":1,"b":2},{"a":3}]}`
	for _, test := range []struct{ stage, want string }{
		{`{"$match":{"ns.coll":"c"}}`, doc},
		{`{"$match":{"ns.coll":"other"}}`, ``},
		{`{"$project":{"operationType":1,"ns.coll":1}}`, `{"_id":{"_data":"82"},"operationType":"update","ns":{"coll":"c"}}`},
		{`{"$project":{"fullDocument.page":1}}`, `{"_id":{"_data":"82"}}`},
		{`{"$project":{"_id":0,"operationType":1}}`, `{"operationType":"update"}`},
		{`{"$project":{"list.a":1}}`, `{"_id":{"_data":"82"},"list":[{"a":1},{"a":3}]}`},
		{`{"$project":{"list":0,"ns.db":0,"fullDocument":0}}`, `{"_id":{"_data":"82"},"operationType":"update","ns":{"coll":"c"},"documentKey":{"_id":7}}`},
		{`{"$project":{"id":"$documentKey._id","where":{"coll":"$ns.coll"}}}`, `{"_id":{"_data":"82"},"id":7,"where":{"coll":"c"}}`},
		{`{"$project":{"missing":"$nowhere.at.all","operationType":1}}`, `{"_id":{"_data":"82"},"operationType":"update"}`},
		{`{"$unset":["list","ns","fullDocument"]}`, `{"_id":{"_data":"82"},"operationType":"update","documentKey":{"_id":7}}`},
		{`{"$unset":"list"}`, `{"_id":{"_data":"82"},"operationType":"update","ns":{"db":"d","coll":"c"},"documentKey":{"_id":7},"fullDocument":null}`},
		{`{"$set":{"ns.db":"x","kind":{"$literal":"$op"},"key":"$documentKey"}}`, `{"_id":{"_data":"82"},"operationType":"update","ns":{"db":"x","coll":"c"},"documentKey":{"_id":7},"fullDocument":null,"list":[{"a":1,"b":2},{"a":3}],"kind":"$op","key":{"_id":7}}`},
		{`{"$addFields":{"n":1}}`, `{"_id":{"_data":"82"},"operationType":"update","ns":{"db":"d","coll":"c"},"documentKey":{"_id":7},"fullDocument":null,"list":[{"a":1,"b":2},{"a":3}],"n":1}`},
	} {
		s, err := parseStage(fromJSON(t, test.stage))
		if err != nil {
			t.Errorf("%s: %v", test.stage, err)
			continue
		}
		got, err := s(fromJSON(t, doc))
		switch {
		case err != nil:
			t.Errorf("%s: %v", test.stage, err)
		case test.want == "" && got != nil, test.want != "" && got.String() != fromJSON(t, test.want).String():
			t.Errorf("%s:\n got %s\nwant %s", test.stage, got, test.want)
		}
	}
	for _, stage := range []string{
		`{"$group":{"_id":1}}`, `{"$project":{"a":1,"b":0}}`, `{"$project":{}}`, `{"$project":{"a":{"$concat":["x","y"]}}}`, `{"$set":{"a":"$$ROOT"}}`,
		`{"$replaceRoot":{"newRoot":"$fullDocument"}}`, `{"$match":{"$where":"x"}}`, `{"$unset":""}`, `{}`,
	} {
		if _, err := parseStage(fromJSON(t, stage)); err == nil {
			t.Errorf("%s is accepted", stage)
		}
	}
}

func TestDescribe(t *testing.T) {
	for _, test := range []struct{ before, after, updated, removed string }{
		{`{"_id":1,"a":1}`, `{"_id":1,"a":2}`, `{"a":2}`, `[]`},
		{`{"_id":1,"a":1,"b":{"c":1,"d":1}}`, `{"_id":1,"b":{"c":2}}`, `{"b.c":2}`, `["b.d","a"]`},
		{`{"l":[1,2]}`, `{"l":[1,3,4]}`, `{"l.1":3,"l.2":4}`, `[]`},
		{`{"l":[1,2]}`, `{"l":[1]}`, `{"l":[1]}`, `[]`},
		{`{"l":[{"x":1}]}`, `{"l":[{"x":2}]}`, `{"l.0.x":2}`, `[]`},
		{`{"a":1}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`, `[]`},
		{`{"a":1}`, `{"a":1.0}`, `{"a":1.0}`, `[]`},
	} {
		want := fromJSON(t, `{"updatedFields":`+test.updated+`,"removedFields":`+test.removed+`,"truncatedArrays":[]}`)
		if got := describe(fromJSON(t, test.before), fromJSON(t, test.after)); got.String() != want.String() {
			t.Errorf("%s to %s: got %s, want %s", test.before, test.after, got, want)
		}
	}
}
