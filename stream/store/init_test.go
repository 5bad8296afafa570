package store

import (
	"errors"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
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
		`events "created_at_1" {"$numberInt":"86400"}`,
	}
	if strings.Join(keys, "\n") != strings.Join(want, "\n") {
		t.Errorf("indexes\n%s", strings.Join(keys, "\n"))
	}
}

func TestInitBringsUpToDate(t *testing.T) {
	exists := collections(map[string]bool{"pages": false, "components": false, "issues": false, "events": false})
	f := startFake(t, true, func(name string, command bson.Raw) bson.D {
		if name == "createIndexes" && command.Lookup("createIndexes").StringValue() == "events" {
			return failure(85, "IndexOptionsConflict", "exists with different options")
		}
		return exists(name, command)
	})
	if _, err := f.store(Config{}).Init(t.Context(), InitOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(f.asked("create")); n != 0 {
		t.Errorf("%d collections are created again", n)
	}
	mods := f.asked("collMod")
	if len(mods) != 5 {
		t.Fatalf("%d collMods, want 4 validators and the expiry", len(mods))
	}
	if at(mods[0], "validationLevel") != `"moderate"` {
		t.Errorf("%s", mods[0])
	}
	if got := at(mods[4], "index", "expireAfterSeconds"); got != `{"$numberInt":"86400"}` {
		t.Errorf("%s", mods[4])
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
