package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"statustail/stream/change"
	"statustail/stream/schema"
)

// acme is a database with one page, as scripted replies.
func acme(name string, command bson.Raw) bson.D {
	now := bson.NewDateTimeFromTime(time.Now())
	switch name + " " + command.Lookup(name).String() {
	case `find "pages"`:
		return cursorOf("statustail.pages", bson.D{{Key: "_id", Value: "acme"}, {Key: "name", Value: "Acme"}})
	case `find "components"`:
		return cursorOf("statustail.components", bson.D{
			{Key: "_id", Value: "api"}, {Key: "page", Value: "acme"}, {Key: "name", Value: "API"}})
	case `find "issues"`:
		return cursorOf("statustail.issues", bson.D{
			{Key: "_id", Value: "i1"}, {Key: "page", Value: "acme"}, {Key: "title", Value: "Bad"}, {Key: "created_at", Value: now}})
	}
	return nil
}

// On a replica set every read is a majority read that waits for the position
// asked for, and then for what the reads before it have seen.
func TestReadsNeverGoBack(t *testing.T) {
	after := change.NewPosition(5000, 7)
	ctx := t.Context()
	for name, c := range map[string]struct {
		reads int
		read  func(s *Store) error
	}{
		"load": {3, func(s *Store) error {
			pages, pos, err := s.Load(ctx, []string{"acme"}, after)
			if err != nil {
				return err
			}
			// The replies' times lie before the position asked for.
			if pos != after {
				t.Errorf("read at %v, want %v", pos, after)
			}
			p, err := pages["acme"].Decode()
			if len(p.Components) != 1 || len(p.Issues) != 1 {
				t.Errorf("loaded %+v", p)
			}
			return err
		}},
		"past": {6, func(s *Store) error {
			_, err := s.PastIncidents(ctx, map[string][]string{"acme": {"", "api"}}, after)
			return err
		}},
		"hosts": {1, func(s *Store) error {
			_, err := s.Hosts(ctx, []string{"status.acme.com", "other"}, after)
			return err
		}},
		"issues": {1, func(s *Store) error {
			issues, err := s.Issues(ctx, []IssueRef{{"acme", "i1"}}, after)
			if issues[IssueRef{"acme", "i1"}].Title != "Bad" {
				t.Errorf("%v", issues)
			}
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFake(t, true, acme)
			if err := c.read(f.store(Config{ReadPreference: readpref.SecondaryPreferred()})); err != nil {
				t.Fatal(err)
			}
			reads := f.asked("find")
			if len(reads) != c.reads {
				t.Errorf("%d reads, want %d", len(reads), c.reads)
			}
			neverBefore(t, reads)
		})
	}
}

func neverBefore(t *testing.T, reads []bson.Raw) {
	t.Helper()
	session := at(reads[0], "lsid")
	for _, c := range reads {
		if got := at(c, "readConcern", "level"); got != `"majority"` {
			t.Errorf("%s: read concern level %s", commandName(c), got)
		}
		ts, i, _ := c.Lookup("readConcern", "afterClusterTime").TimestampOK()
		if ts != 5000 || i != 7 {
			t.Errorf("%s: afterClusterTime %d, %d", commandName(c), ts, i)
		}
		if got := at(c, "lsid"); got != session {
			t.Errorf("%s: another session", commandName(c))
		}
	}
}

// Without a position to wait for, later reads still wait for the earlier.
func TestLoadWaitsForItsOwnReads(t *testing.T) {
	f := startFake(t, true, acme)
	_, pos, err := f.store(Config{}).Load(t.Context(), []string{"acme"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := at(f.asked("find")[0], "readConcern", "afterClusterTime"); got != "missing" {
		t.Errorf("the first read waits for %s", got)
	}
	last, _, ok := f.asked("find")[2].Lookup("readConcern", "afterClusterTime").TimestampOK()
	if !ok || pos.Seconds() <= last {
		t.Errorf("the last read waited for %d, and the load reports %v", last, pos)
	}
	if clock := f.Clock(); pos.Seconds() > clock {
		t.Errorf("the load reports %d, the server's clock says %d", pos.Seconds(), clock)
	}
}

// The read preference goes with the reads, so that mongos and secondaries
// honour it.
func TestReadPreference(t *testing.T) {
	f := startFake(t, true, acme)
	if _, _, err := f.store(Config{ReadPreference: readpref.Nearest()}).Load(t.Context(), []string{"acme"}, 0); err != nil {
		t.Fatal(err)
	}
	// A direct connection turns every preference into "this one, secondary
	// or not"; what matters is that it is not the primary's.
	if got := at(f.asked("find")[0], "$readPreference", "mode"); got == "missing" || got == `"primary"` {
		t.Errorf("read preference %s", got)
	}
}

func TestLoadOnStandaloneTakesNoSession(t *testing.T) {
	f := startFake(t, false, acme)
	_, pos, err := f.store(Config{}).Load(t.Context(), []string{"acme"}, change.NewPosition(5000, 7))
	if err != nil {
		t.Fatal(err)
	}
	if pos != 0 {
		t.Errorf("read at %v where there are no times", pos)
	}
	for _, c := range f.asked("find") {
		if got := at(c, "readConcern", "afterClusterTime"); got != "missing" {
			t.Errorf("a server without a cluster time is asked for %s", got)
		}
	}
}

func TestLoadIsBatched(t *testing.T) {
	f := startFake(t, true, func(name string, command bson.Raw) bson.D {
		if name == "find" && command.Lookup("find").StringValue() == schema.Pages {
			values, _ := command.Lookup("filter", "_id", "$in").Array().Values()
			var docs []any
			for _, v := range values {
				docs = append(docs, bson.D{{Key: "_id", Value: v.StringValue()}, {Key: "name", Value: "x"}})
			}
			return cursorOf("statustail.pages", docs...)
		}
		return nil
	})
	slugs := []string{"Not A Slug", "p-1", "p-1"}
	for i := range 10_000 {
		slugs = append(slugs, fmt.Sprintf("p-%d", i))
	}
	pages, _, err := f.store(Config{}).Load(t.Context(), slugs, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) != 10_000 {
		t.Errorf("%d pages", len(pages))
	}
	if n := len(f.asked("find")); n != 60 {
		t.Errorf("%d queries for 10,000 pages, want 60", n)
	}
}

func TestLoadOfNothingAsksNothing(t *testing.T) {
	f := startFake(t, true, nil)
	pages, _, err := f.store(Config{}).Load(t.Context(), []string{"", "../x"}, 0)
	if err != nil || len(pages) != 0 {
		t.Errorf("%v, %v", pages, err)
	}
	if n := len(f.asked("find")); n != 0 {
		t.Errorf("%d queries", n)
	}
}

func TestWritesWantAJournaledMajority(t *testing.T) {
	f := startFake(t, true, acme)
	s := f.store(Config{})
	if _, err := s.OpenIssue(t.Context(), IssueInput{Page: "acme", Title: "Bad"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetComponentState(t.Context(), "acme", "API", "outage"); err != nil {
		t.Fatal(err)
	}
	for _, c := range append(f.asked("insert"), f.asked("update")...) {
		if w, j := at(c, "writeConcern", "w"), at(c, "writeConcern", "j"); w != `"majority"` || j != "true" {
			t.Errorf("%s with w: %s, j: %s", commandName(c), w, j)
		}
	}
	update := f.asked("update")[0].Lookup("updates", "0").Document()
	if got := at(update, "u", "$push", "history", "$each", "0", "state"); got != `"outage"` {
		t.Errorf("the history is not pushed with the state: %s", update)
	}
	if len(f.asked("listCollections")) != 0 {
		t.Error("a replica set needs no hints")
	}
}

// A standalone mongod whose events are capped is left a hint at every write.
func TestStandaloneHints(t *testing.T) {
	capped := true
	f := startFake(t, false, func(name string, command bson.Raw) bson.D {
		if name == "listCollections" {
			return cursorOf("statustail.$cmd.listCollections", bson.D{
				{Key: "name", Value: "events"}, {Key: "type", Value: "collection"},
				{Key: "options", Value: bson.D{{Key: "capped", Value: capped}}},
			})
		}
		return acme(name, command)
	})
	s := f.store(Config{})
	hints := func() (pages []string) {
		for _, c := range f.asked("insert") {
			if doc := c.Lookup("documents", "0").Document(); at(doc, "name") == `"$changed"` {
				pages = append(pages, doc.Lookup("page").StringValue())
			}
		}
		return pages
	}
	ctx := t.Context()
	id, err := s.OpenIssue(ctx, IssueInput{Page: "acme", Title: "Bad"})
	if err != nil || id == "" {
		t.Fatal(err)
	}
	if _, err := s.SetComponentState(ctx, "acme", "api", "outage"); err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateIssue(ctx, "i1", IssueUpdate{Body: "more"}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(hints(), " "); got != "acme acme acme" {
		t.Errorf("hints for %q", got)
	}
	// A message is its own hint.
	if _, err := s.Publish(ctx, EventInput{Page: "acme", Name: "deploy", Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	capped = false
	if _, err := s.PutPage(ctx, PageInput{ID: "acme", Name: "Acme"}); err != nil {
		t.Fatal(err)
	}
	if n := len(hints()); n != 3 {
		t.Errorf("%d hints", n)
	}
}

// A hint that cannot be left does not make a write fail that was made.
func TestHintFailureIsNotTheWriters(t *testing.T) {
	f := startFake(t, false, func(name string, command bson.Raw) bson.D {
		if name == "listCollections" {
			return failure(13, "Unauthorized", "not authorized")
		}
		return acme(name, command)
	})
	if _, err := f.store(Config{}).OpenIssue(t.Context(), IssueInput{Page: "acme", Title: "Bad"}); err != nil {
		t.Error(err)
	}
}

func TestDatabaseErrorsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		reply bson.D
		want  string
	}{
		{failure(13, "Unauthorized", "not authorized on statustail"), `grant it the role readWrite there`},
		{failure(121, "DocumentValidationFailure", "Document failed validation"), "the database's validator refused"},
		{failure(8000, "AtlasError", "over quota"), "over quota"},
	} {
		f := startFake(t, true, func(name string, command bson.Raw) bson.D {
			if name == "insert" {
				return c.reply
			}
			return acme(name, command)
		})
		_, err := f.store(Config{}).OpenIssue(t.Context(), IssueInput{Page: "acme", Title: "Bad"})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %q in one line", err, c.want)
		}
	}
}
