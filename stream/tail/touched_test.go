package tail

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
)

// What a change of a page touched decides what is forgotten with it.
func TestTouched(t *testing.T) {
	update := func(updated bson.M, removed ...string) bson.M {
		return bson.M{"operationType": "update", "updateDescription": bson.M{"updatedFields": updated, "removedFields": removed}}
	}
	const everything = change.Identity | change.Hosts
	for name, c := range map[string]struct {
		event bson.M
		want  change.Touched
	}{
		"insert":           {bson.M{"operationType": "insert"}, everything},
		"replace":          {bson.M{"operationType": "replace"}, everything},
		"delete":           {bson.M{"operationType": "delete"}, everything},
		"name":             {update(bson.M{"name": "X", "privateer": true}), 0},
		"private":          {update(bson.M{"private": true}), change.Identity},
		"no longer":        {update(nil, "private"), change.Identity},
		"a host added":     {update(bson.M{"hosts.3": "h"}), change.Hosts},
		"hosts and a name": {update(bson.M{"hosts": []string{}, "name": "X"}), change.Hosts},
		"nothing known":    {bson.M{"operationType": "update"}, everything},
	} {
		raw, err := bson.Marshal(c.event)
		if err != nil {
			t.Fatal(err)
		}
		if got := touched(raw); got != c.want {
			t.Errorf("%s: touched %b, want %b", name, got, c.want)
		}
	}
}
