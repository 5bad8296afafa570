//go:build !noembed

package mongotest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// testdata holds transcripts recorded from a real mongod. Their commands are
// given to the proxy; its answers have to be of the same shape.
func TestAnswersAreShapedLikeARealServers(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			replay(t, file)
		})
	}
}

type exchange struct {
	Command json.RawMessage `json:"command"`
	Reply   json.RawMessage `json:"reply"`
	Error   string          `json:"error"`
}

func replay(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var transcript struct{ Exchange []exchange }
	if err := json.Unmarshal(text, &transcript); err != nil {
		t.Fatal(err)
	}
	server := Start(t)
	client, err := mongo.Connect(options.Client().ApplyURI(server.URI()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(context.Background())
	for _, name := range []string{"issues", "components"} { // what went before
		if strings.Contains(file, "invalidate") && name == "issues" {
			if err := client.Database("statustail_test").CreateCollection(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if strings.Contains(file, "tailable-dropped") || strings.Contains(file, "tailable-follow") {
		capped := options.CreateCollection().SetCapped(true).SetSizeInBytes(65536)
		if err := client.Database("statustail_test").CreateCollection(t.Context(), "events", capped); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(file, "tailable-dropped") {
		if _, err := client.Database("statustail_test").Collection("events").InsertOne(t.Context(), bson.D{{Key: "page", Value: "acme"}, {Key: "n", Value: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(file, "not-capped") {
		if err := client.Database("statustail_test").CreateCollection(t.Context(), "issues"); err != nil {
			t.Fatal(err)
		}
	}

	ids := map[int64]int64{}   // cursors of the recording to ours
	tokens := map[string]any{} // tokens likewise
	var events, recorded []bson.Raw
	for i, e := range transcript.Exchange {
		var cmd bson.D
		if err := bson.UnmarshalExtJSON(e.Command, false, &cmd); err != nil {
			t.Fatal(err)
		}
		db := "admin"
		ours := bson.D{}
		for _, f := range cmd {
			switch f.Key {
			case "lsid", "$clusterTime":
			case "$db":
				db = f.Value.(string)
			default:
				ours = append(ours, bson.E{Key: f.Key, Value: translate(f.Value, ids, tokens)})
			}
		}
		what := fmt.Sprintf("exchange %d, %s", i, cmd[0].Key)
		var want bson.Raw
		if e.Reply != nil {
			if err := bson.UnmarshalExtJSON(e.Reply, false, &want); err != nil {
				t.Fatal(err)
			}
		}
		if cmd[0].Key == "getMore" && ours[0].Value == int64(0) {
			recorded = append(recorded, batch(want)...)
			continue // the invalidate came in one batch with what led to it
		}
		got, err := client.Database(db).RunCommand(t.Context(), ours).Raw()
		if e.Error != "" && cmd[0].Key != "drop" { // later versions drop what is not there without an error
			name, _, _ := strings.Cut(strings.TrimPrefix(e.Error, "("), ")")
			var failed mongo.CommandError
			if !errors.As(err, &failed) || failed.Name != name {
				t.Errorf("%s: got %v, want %s", what, err, e.Error)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if cmd[0].Key != "aggregate" && cmd[0].Key != "getMore" && cmd[0].Key != "find" {
			continue
		}
		events = append(events, batch(got)...)
		recorded = append(recorded, batch(want)...)
		if (want.Lookup("cursor", "id").AsInt64() == 0) != (got.Lookup("cursor", "id").AsInt64() == 0) && !strings.Contains(file, "invalidate") {
			t.Errorf("%s: cursor id %v, want %v", what, got.Lookup("cursor", "id"), want.Lookup("cursor", "id"))
		}
		ids[want.Lookup("cursor", "id").AsInt64()] = got.Lookup("cursor", "id").AsInt64()
		if token, ok := want.Lookup("cursor", "postBatchResumeToken").DocumentOK(); ok {
			tokens[token.Lookup("_data").StringValue()] = got.Lookup("cursor", "postBatchResumeToken", "_data").StringValue()
		}
	}
	if strings.Contains(file, "tailable") {
		return // the documents are the test's own
	}
	compare(t, "number of events", len(events), len(recorded))
	for n := range min(len(events), len(recorded)) {
		compare(t, fmt.Sprintf("event %d", n), shape(events[n]), shape(recorded[n]))
	}
}

// readExtJSON reads a file of extended JSON.
func readExtJSON(t *testing.T, file string, v any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = bson.UnmarshalExtJSON(text, false, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func batch(reply bson.Raw) []bson.Raw {
	var docs []bson.Raw
	for _, name := range []string{"firstBatch", "nextBatch"} {
		array, ok := reply.Lookup("cursor", name).ArrayOK()
		if !ok {
			continue
		}
		values, _ := array.Values()
		for _, v := range values {
			docs = append(docs, v.Document())
		}
	}
	return docs
}

func translate(v any, ids map[int64]int64, tokens map[string]any) any {
	switch v := v.(type) {
	case int64:
		if id, ok := ids[v]; ok {
			return id
		}
	case string:
		if token, ok := tokens[v]; ok {
			return token
		}
	case bson.D:
		out := bson.D{}
		for _, e := range v {
			out = append(out, bson.E{Key: e.Key, Value: translate(e.Value, ids, tokens)})
		}
		return out
	case bson.A:
		out := bson.A{}
		for _, e := range v {
			out = append(out, translate(e, ids, tokens))
		}
		return out
	}
	return v
}

// shape is the fields of an event with their types, sorted, and what it says
// happened where. Only transactions add lsid and txnNumber; wallTime came with
// MongoDB 6.0.
func shape(doc bson.Raw) string {
	var lines []string
	var walk func(path string, doc bson.Raw)
	walk = func(path string, doc bson.Raw) {
		elements, _ := doc.Elements()
		for _, e := range elements {
			p := path + "." + e.Key()
			switch sub, isDoc := e.Value().DocumentOK(); {
			case p == ".wallTime" || p == ".lsid" || p == ".txnNumber":
			case p == ".operationType" || strings.HasPrefix(p, ".ns.") || strings.HasPrefix(p, ".to."):
				lines = append(lines, p+"="+e.Value().StringValue())
			case isDoc && p != ".updateDescription":
				walk(p, sub)
			default:
				lines = append(lines, p+":"+e.Value().Type.String())
			}
		}
	}
	walk("", doc)
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

func compare[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}
