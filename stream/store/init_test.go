package store

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/schema"
)

// collections answers listCollections for those that exist; the value says
// whether they are capped.
func collections(exist map[string]bool) func(name string, command bson.Raw) bson.D {
	return func(name string, command bson.Raw) bson.D {
		if name != "listCollections" {
			return nil
		}
		var docs []any
		want := command.Lookup("filter", "name").StringValue()
		if capped, ok := exist[want]; ok {
			options := bson.D{}
			if capped {
				options = bson.D{{Key: "capped", Value: true}}
			}
			docs = append(docs, bson.D{{Key: "name", Value: want}, {Key: "type", Value: "collection"}, {Key: "options", Value: options}})
		}
		return cursorOf("statustail.$cmd.listCollections", docs...)
	}
}

func TestInitMakesEverything(t *testing.T) {
	f := startFake(t, true, collections(nil))
	report, err := f.store(Config{}).Init(t.Context(), InitOptions{})
	if err != nil || len(report.Skipped) != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	var created []string
	for _, c := range f.asked("create") {
		created = append(created, c.Lookup("create").StringValue())
		if at(c, "validator", "$jsonSchema", "bsonType") != `"object"` || at(c, "capped") != "missing" {
			t.Errorf("%s", c)
		}
	}
	if got := strings.Join(created, " "); got != "pages components issues events" {
		t.Errorf("created %s", got)
	}
	var keys []string
	for _, c := range f.asked("createIndexes") {
		keys = append(keys, c.Lookup("createIndexes").StringValue()+" "+at(c, "indexes", "0", "name")+" "+at(c, "indexes", "0", "expireAfterSeconds"))
	}
	want := []string{
		`pages "hosts_1" missing`,
		`components "page_1_name_1" missing`,
		`issues "page_1_resolved_at_1_cancelled_at_1_schedule.ends_at_1_schedule_1_ended_at_1" missing`,
		`issues "page_1_kind_1_ended_at_1_resolved_at_1_schedule.ends_at_1" missing`,
		`issues "components_1_kind_1_ended_at_1_resolved_at_1_schedule.ends_at_1" missing`,
		`events "created_at_1" {"$numberInt":"86400"}`,
	}
	if strings.Join(keys, "\n") != strings.Join(want, "\n") {
		t.Errorf("indexes\n%s", strings.Join(keys, "\n"))
	}
}

func TestInitBringsUpToDate(t *testing.T) {
	exists := collections(map[string]bool{"pages": false, "components": false, "issues": false, "events": false})
	f := startFake(t, true, func(name string, command bson.Raw) bson.D {
		if name == "listIndexes" {
			return older(command.Lookup(name).StringValue())
		}
		return exists(name, command)
	})
	report, err := f.store(Config{}).Init(t.Context(), InitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(f.asked("create")); n != 0 {
		t.Errorf("%d collections are created again", n)
	}
	mods := f.asked("collMod")
	if len(mods) != 4 {
		t.Fatalf("%d collMods, want 4 validators", len(mods))
	}
	if at(mods[0], "validationLevel") != `"moderate"` {
		t.Errorf("%s", mods[0])
	}
	var dropped []string
	for _, c := range f.asked("dropIndexes") {
		dropped = append(dropped, c.Lookup("dropIndexes").StringValue()+" "+c.Lookup("index").StringValue())
	}
	want := "components page_1_name_1, issues page_1_kind_1_ended_at_1_resolved_at_1_schedule.ends_at_1, events old"
	if got := strings.Join(dropped, ", "); got != want {
		t.Errorf("dropped %s, want %s", got, want)
	}
	if n := len(f.asked("createIndexes")); n != 5 {
		t.Errorf("%d indexes are made, want all but that of hosts", n)
	}
	for _, line := range []string{
		"index hosts_1 on pages exists",
		"index page_1_name_1 on components replaced: one of that name or of those keys was not like it",
		"index created_at_1 on events replaced: one of that name or of those keys was not like it",
	} {
		if !slices.Contains(report.Done, line) {
			t.Errorf("not said: %s\n%s", line, strings.Join(report.Done, "\n"))
		}
	}
}

// older are indexes as an older version or a person has made them: that of
// hosts by another name and from mongosh, whose numbers are doubles; one that
// is not unique, one with other keys, one with another time.
func older(collection string) bson.D {
	one := func(name string, keys bson.D, more ...bson.E) bson.D {
		return append(bson.D{{Key: "v", Value: 2}, {Key: "key", Value: keys}, {Key: "name", Value: name}}, more...)
	}
	docs := []any{one("_id_", ascending("_id"))}
	switch collection {
	case schema.Pages:
		docs = append(docs, one("by host", bson.D{{Key: "hosts", Value: 1.0}}))
	case schema.Components:
		docs = append(docs, one("page_1_name_1", ascending("page", "name")))
	case schema.Issues:
		docs = append(docs, one("page_1_kind_1_ended_at_1_resolved_at_1_schedule.ends_at_1", ascending("page", "kind")), one("own", ascending("title")))
	case schema.Events:
		docs = append(docs, one("old", ascending("created_at"), bson.E{Key: "expireAfterSeconds", Value: 60}))
	}
	return cursorOf("statustail."+collection, docs...)
}

// Data that is not unique does not stop anything, and is told of in one line.
func TestInitWithDuplicates(t *testing.T) {
	none := collections(nil)
	f := startFake(t, true, func(name string, command bson.Raw) bson.D {
		if name == "createIndexes" && at(command, "indexes", "0", "unique") == "true" {
			return failure(11000, "DuplicateKey", `E11000 duplicate key error collection: statustail.components index: page_1_name_1 dup key: { page: "acme", name: "API" }`)
		}
		return none(name, command)
	})
	report, err := f.store(Config{}).Init(t.Context(), InitOptions{})
	if err != nil || len(report.Skipped) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if line := report.Skipped[0]; !strings.Contains(line, "page_1_name_1 on components is not unique") || !strings.Contains(line, `name: "API"`) || strings.Contains(line, "\n") {
		t.Errorf("%s", line)
	}
	var made []string
	for _, c := range f.asked("createIndexes") {
		if c.Lookup("createIndexes").StringValue() == schema.Components {
			made = append(made, at(c, "indexes", "0", "unique"))
		}
	}
	if got := strings.Join(made, " "); got != "true missing" {
		t.Errorf("unique: %s, want it tried, and then without", got)
	}
}

func TestInitTogetherWithAnother(t *testing.T) {
	none := collections(nil)
	f := startFake(t, true, func(name string, command bson.Raw) bson.D {
		if name == "create" {
			return failure(48, "NamespaceExists", "already exists")
		}
		return none(name, command)
	})
	if _, err := f.store(Config{}).Init(t.Context(), InitOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(f.asked("collMod")); n != 4 {
		t.Errorf("%d collMods", n)
	}
}

func TestInitCapped(t *testing.T) {
	exist := map[string]bool{}
	answer := collections(exist)
	f := startFake(t, false, func(name string, command bson.Raw) bson.D {
		if name == "create" {
			_, err := command.LookupErr("capped")
			exist[command.Lookup("create").StringValue()] = err == nil
		}
		return answer(name, command)
	})
	s := f.store(Config{})
	for range 2 {
		if _, err := s.Init(t.Context(), InitOptions{Capped: true}); err != nil {
			t.Fatal(err)
		}
	}
	creates := f.asked("create")
	if len(creates) != 4 || at(creates[3], "capped") != "true" || at(creates[3], "size") != `{"$numberLong":"16777216"}` || at(creates[0], "capped") != "missing" {
		t.Errorf("%s", creates)
	}
	for _, c := range f.asked("createIndexes") {
		if c.Lookup("createIndexes").StringValue() == "events" {
			t.Errorf("a capped collection gets an expiry: %s", c)
		}
	}
}

func TestInitRefusals(t *testing.T) {
	var input *InputError
	_, err := startFake(t, true, nil).store(Config{}).Init(t.Context(), InitOptions{Capped: true})
	if !errors.As(err, &input) || !strings.Contains(err.Error(), "change streams") {
		t.Errorf("capped on a replica set: %v", err)
	}
	var conflict *ConflictError
	_, err = startFake(t, false, collections(map[string]bool{"events": false})).store(Config{}).Init(t.Context(), InitOptions{Capped: true})
	if !errors.As(err, &conflict) || !strings.Contains(err.Error(), "not capped") {
		t.Errorf("capped over what is not: %v", err)
	}
	none := collections(nil)
	_, err = startFake(t, true, func(name string, command bson.Raw) bson.D {
		if name == "create" {
			return failure(13, "Unauthorized", "not authorized on statustail to execute command")
		}
		return none(name, command)
	}).store(Config{}).Init(t.Context(), InitOptions{})
	if err == nil || !strings.Contains(err.Error(), "for init dbAdmin too") || strings.Contains(err.Error(), "\n") {
		t.Errorf("without the privilege: %v", err)
	}
}

// A server that knows neither validators nor expiry gets what it can take.
func TestInitOnLesserServers(t *testing.T) {
	none := collections(nil)
	f := startFake(t, false, func(name string, command bson.Raw) bson.D {
		if _, err := command.LookupErr("validator"); err == nil {
			return failure(238, "NotImplemented", "validator is not implemented")
		}
		if name == "createIndexes" && at(command, "indexes", "0", "expireAfterSeconds") != "missing" {
			return failure(238, "NotImplemented", "expireAfterSeconds is not implemented")
		}
		return none(name, command)
	})
	report, err := f.store(Config{}).Init(t.Context(), InitOptions{})
	if err != nil || len(report.Skipped) != 5 {
		t.Errorf("%+v, %v", report, err)
	}
	if n := len(f.asked("create")); n != 8 {
		t.Errorf("%d creates", n)
	}
}
