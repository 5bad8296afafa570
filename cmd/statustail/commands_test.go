package main

import (
	"encoding/json"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/embedded"
	"statustail/stream/mongodb/mongodbtest"
)

// commands runs the program on a database of its own.
type commands struct {
	*testing.T
	env   map[string]string
	where string // what a command says of where it wrote
}

func newCommands(t *testing.T) *commands {
	t.Helper()
	if !embedded.Available {
		t.Skip("built without the embedded database")
	}
	db, err := embedded.Open(t.Context(), embedded.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &commands{t, map[string]string{"STATUSTAIL_MONGODB_URI": db.URI(), "STATUSTAIL_DATABASE": "cli", "STATUSTAIL_PAGE": "", "STATUSTAIL_YES": "true"},
		" (database cli at " + address(db.URI()) + ")"}
}

// ok runs a command that must succeed, and gives what it printed and said.
func (c *commands) ok(args ...string) (stdout, stderr string) {
	c.Helper()
	code, stdout, stderr := exec(c.T, c.env, args...)
	if code != exitOK {
		c.Fatalf("%q: status %d, %s", args, code, stderr)
	}
	return strings.TrimSuffix(stdout, "\n"), strings.TrimSuffix(stderr, "\n")
}

// reads runs a command that prints something and writes nothing.
func (c *commands) reads(args ...string) string {
	c.Helper()
	stdout, stderr := c.ok(args...)
	if stderr != "" {
		c.Errorf("%q says %q", args, stderr)
	}
	return stdout
}

// writes runs a command, and expects it to say in one line, in the words of a
// pattern, what it wrote and where. It gives what it printed for programs.
func (c *commands) writes(pattern string, args ...string) string {
	c.Helper()
	stdout, stderr := c.ok(args...)
	if !regexp.MustCompile("^" + pattern + regexp.QuoteMeta(c.where) + "$").MatchString(stderr) {
		c.Errorf("%q says %q, want %s%s", args, stderr, pattern, c.where)
	}
	return stdout
}

func (c *commands) fails(code int, want string, args ...string) {
	c.Helper()
	got, stdout, stderr := exec(c.T, c.env, args...)
	if got != code || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, want) {
		c.Errorf("%q: status %d, %q, want %d and %q", args, got, stderr, code, want)
	}
}

const (
	idPattern = "[0-9a-f]{24}"
	printsID  = "^" + idPattern + "$"
)

// Each command that writes says what and where, and prints what programs need.
func TestWritingCommands(t *testing.T) {
	c := newCommands(t)
	if out, said := c.ok("init"); !strings.Contains(out, "collection pages created") || !strings.Contains(out, "skipped: a validator for pages") || said != "prepared"+c.where {
		t.Errorf("init prints\n%s\nand says %q", out, said)
	}
	nothing := func(out string) {
		t.Helper()
		if out != "" {
			t.Errorf("it prints %q", out)
		}
	}
	id := func(out string) string {
		t.Helper()
		if !regexp.MustCompile(printsID).MatchString(out) {
			t.Errorf("it prints %q, want an id", out)
		}
		return out
	}
	nothing(c.writes("page acme created", "page", "put", "acme", "--name", "Acme", "--origin", "*", "--host", "status.acme.com", "--private"))
	nothing(c.writes("page acme changed", "page", "put", "acme", "--no-private", "--host", ""))
	nothing(c.writes("page acme changed", "page", "edit", "acme", "--url", "https://acme.example"))
	c.fails(exitFailure, "a new one needs a name", "page", "put", "new", "--private")
	c.fails(exitFailure, `no page "new"`, "page", "edit", "new", "--name", "New")

	id(c.writes(`component API, EU \(`+idPattern+`\) created on page acme`, "component", "put", "--page", "acme", "--name", "API, EU", "--group", "Core", "--position=-1"))
	id(c.writes(`component API, EU \(`+idPattern+`\) changed on page acme`, "component", "put", "--page", "acme", "--name", "API, EU", "--description", "x"))
	nothing(c.writes(`component Web \(`+idPattern+`\) changed on page acme`, "component", "edit", "--page", "acme", "API, EU", "--name", "Web"))
	nothing(c.writes(`component API, EU \(`+idPattern+`\) changed on page acme`, "component", "edit", "--page", "acme", "Web", "--name", "API, EU"))
	nothing(c.writes("component API, EU on page acme is degraded", "component", "state", "--page", "acme", "API, EU", "degraded"))
	nothing(c.writes("component API, EU on page acme was degraded already", "component", "state", "--page", "acme", "API, EU", "degraded"))

	issue := id(c.writes("issue "+idPattern+` \(Heavy load\) opened on page acme`,
		"issue", "open", "--page", "acme", "--title", "Heavy load", "--component", "API, EU", "--state", "degraded", "--body", "x"))
	says := func(what string) string { return "issue " + issue + ` \(Heavy load\) ` + what + " on page acme" }
	nothing(c.writes(says("updated"), "issue", "update", issue, "--label", "Identified", "--body", "y", "--progress", "40"))
	nothing(c.writes(says("resolved"), "issue", "resolve", issue, "--body", "z"))
	c.fails(exitFailure, "already resolved", "issue", "resolve", issue)
	nothing(c.writes(says("reopened"), "issue", "reopen", issue))
	c.fails(exitFailure, "not resolved", "issue", "reopen", issue)
	c.fails(exitFailure, "not scheduled", "issue", "cancel", issue)
	nothing(c.writes(`issue `+issue+` \(Too much\) changed on page acme`, "issue", "edit", issue, "--title", "Too much"))
	planned := id(c.writes("issue "+idPattern+` \(Upgrade\) scheduled on page acme`,
		"issue", "schedule", "--page", "acme", "--title", "Upgrade", "--starts", "+10m", "--ends", "+1h"))
	nothing(c.writes("issue "+planned+` \(Upgrade\) changed on page acme`, "issue", "edit", planned, "--starts", "+20m", "--ends", ""))
	nothing(c.writes("issue "+planned+` \(Upgrade\) cancelled on page acme`, "issue", "cancel", planned))
	id(c.writes("event deploy "+idPattern+" published on page acme", "publish", "--page", "acme", "--name", "deploy", "--data", `{"v":1}`, "--key", "k"))

	c.fails(exitFailure, `no page "nope"`, "issue", "open", "--page", "nope", "--title", "x")
	c.fails(exitFailure, `no component "nope"`, "issue", "open", "--page", "acme", "--title", "x", "--component", "nope")
	c.fails(exitFailure, `no page "acme" in database "other"`, "publish", "--database", "other", "--page", "acme", "--name", "x", "--data", "1")
	c.fails(exitFailure, "no issue nope", "issue", "resolve", "nope")
	// A name from outside cannot drive the terminal of who mistypes it.
	_, _, stderr := exec(t, c.env, "component", "state", "--page", "acme", "a\x1b[2Jb", "outage")
	if strings.Contains(stderr, "\x1b") {
		t.Errorf("%q", stderr)
	}
}

// An issue that names no component and yet makes the page look bad is worth a
// warning: its components go on saying that all is well.
func TestIssueWithoutComponents(t *testing.T) {
	c := newCommands(t)
	warns := func(want bool, args ...string) string {
		t.Helper()
		out, said := c.ok(args...)
		lines := strings.Split(said, "\n")
		if warned := len(lines) == 2 && strings.HasPrefix(lines[1], "warning: issue ") && strings.Contains(lines[1], "--component"); warned != want || len(lines) > 2 {
			t.Errorf("%q says\n%s", args, said)
		}
		return out
	}
	c.ok("page", "put", "acme", "--name", "Acme")
	open := []string{"issue", "open", "--page", "acme", "--title", "Bad"}
	warns(false, append(open, "--state", "outage")...) // a page of issues only
	c.ok("component", "put", "--page", "acme", "--name", "API")
	warns(true, append(open, "--state", "outage")...)
	warns(false, append(open, "--state", "outage", "--component", "API")...)
	c.ok("component", "put", "--page", "acme", "--name", "Web")
	c.ok("component", "state", "--page", "acme", "Web", "outage")
	warns(false, append(open, "--state", "outage")...) // a component says it, too
	c.ok("page", "put", "other", "--name", "Other")
	c.ok("component", "put", "--page", "other", "--name", "API")
	id := warns(false, "issue", "open", "--page", "other", "--title", "For your information")
	warns(true, "issue", "update", id, "--state", "degraded")
	warns(false, "issue", "edit", id, "--component", "API")
	warns(true, "issue", "edit", id, "--component", "")
	warns(false, "issue", "resolve", id)
}

func TestReadingCommands(t *testing.T) {
	c := newCommands(t)
	c.ok("page", "put", "acme", "--name", "Acme\u202e", "--url", "https://acme.example", "--origin", "*")
	api, _ := c.ok("component", "put", "--page", "acme", "--name", "API", "--group", "Core", "--description", "The *one*.")
	c.ok("component", "put", "--page", "acme", "--name", "Website")
	id, _ := c.ok("issue", "open", "--page", "acme", "--title", "Heavy load", "--component", "API", "--state", "outage", "--body", "We look.")
	c.ok("issue", "update", id, "--label", "Identified", "--body", "It is\n\nthe disk.", "--state", "degraded", "--progress", "40")
	old, _ := c.ok("issue", "open", "--page", "acme", "--title", "Before")
	c.ok("issue", "resolve", old)

	table := func(want string, args ...string) {
		t.Helper()
		// Columns are as wide as they need to be; times are now.
		got := regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\dZ`).ReplaceAllString(c.reads(args...), "TIME")
		got = regexp.MustCompile(` {2,}`).ReplaceAllString(got, " | ")
		got = strings.NewReplacer(id, "ID", api, "API-ID", old, "OLD").Replace(got)
		got = regexp.MustCompile(idPattern).ReplaceAllString(got, "OTHER")
		if strings.Contains(got, "\u202e") {
			t.Errorf("%q could drive a terminal: %q", args, got)
		}
		if got != want {
			t.Errorf("%q prints\n%s\nwant\n%s", args, got, want)
		}
	}
	table("PAGE | NAME | PRIVATE | HOSTS | ORIGINS\nacme | Acme\uFFFD | no | - | *", "page", "list")
	components := "ID | NAME | GROUP | STATE\nAPI-ID | API | Core | degraded\nOTHER | Website | - | operational"
	issue := "\nID | Heavy load | incident | standing | degraded | Identified | API | TIME"
	const header = "ID | TITLE | KIND | PHASE | STATE | LABEL | COMPONENTS | SINCE"
	table("page | acme\nname | Acme\uFFFD\nurl | https://acme.example\nstate | degraded\nuptime | 99.99 % in 30 days\norigins | *\nprivate | no\ncreated | TIME\n\n"+
		components+"\n\n"+header+issue, "page", "show", "acme")
	table(components, "component", "list", "--page", "acme")
	table("component | API-ID\npage | acme\nname | API\ngroup | Core\nstate | degraded\nits own state | operational\nuptime | 99.99 % in 30 days\nposition | 1\ncreated | TIME\n\ndescription\n | The one.",
		"component", "show", "--page", "acme", "API")
	table(header+issue, "issue", "list", "--page", "acme")
	table(header+"\nOLD | Before | incident | resolved | - | Resolved | - | TIME"+issue, "issue", "list", "--page", "acme", "--all")
	table("issue | ID\npage | acme\ntitle | Heavy load\nkind | incident\nphase | standing\nstate | degraded\nlabel | Identified\ncomponents | API\nprogress | 40 %\ncreated | TIME\nbegan | TIME\n\n"+
		"body\n | We look.\n\nTIME Identified (degraded)\n | It is\n | \n | the disk.", "issue", "show", id)
	if _, said := c.ok("issue", "list", "--page", "acme", "--all", "--limit", "1"); !strings.Contains(said, "there may be more") {
		t.Errorf("a list that was cut says %q", said)
	}

	for want, args := range map[string][]string{
		"name=Acme\u202e":  {"page", "list"},
		"_id=acme":         {"page", "show", "acme"},
		"name=Website":     {"component", "list", "--page", "acme"},
		"_id=" + api:       {"component", "show", "--page", "acme", "API"},
		"title=Heavy load": {"issue", "list", "--page", "acme"},
		"body=We look.":    {"issue", "show", id},
	} {
		out := c.reads(append(args, "--json")...)
		found := false
		for line := range strings.Lines(out) {
			var doc map[string]any
			if err := json.Unmarshal([]byte(line), &doc); err != nil {
				t.Errorf("%q: %v in %q", args, err, line)
			}
			field, value, _ := strings.Cut(want, "=")
			found = found || doc[field] == value
		}
		if !found || strings.Contains(out, "\u202e") {
			t.Errorf("%q prints %q, want %s", args, out, want)
		}
	}
	c.fails(exitFailure, `no page "nope"`, "page", "show", "nope")
	c.fails(exitFailure, `no page "nope"`, "component", "list", "--page", "nope")
	c.fails(exitFailure, `no component "nope"`, "component", "show", "--page", "acme", "nope")
	c.fails(exitFailure, "no issue nope", "issue", "show", "nope")
}

// What is lost for good is lost only on demand, and not by a variable of the
// environment.
func TestDeletingCommands(t *testing.T) {
	c := newCommands(t)
	c.ok("page", "put", "acme", "--name", "Acme")
	api, _ := c.ok("component", "put", "--page", "acme", "--name", "API")
	c.ok("component", "put", "--page", "acme", "--name", "Website")
	id, _ := c.ok("issue", "open", "--page", "acme", "--title", "Bad")
	c.ok("issue", "open", "--page", "acme", "--title", "Worse")
	for _, step := range []struct {
		would, did string
		args       []string
	}{
		{"issue " + id + " (Bad) of page acme, with 0 updates", "issue " + id + ` \(Bad\) deleted from page acme`, []string{"issue", "delete", id}},
		{"component API (" + api + ") of page acme, with its history", `component API \(` + api + `\) deleted from page acme`, []string{"component", "delete", "--page", "acme", "API"}},
		{"page acme, with 1 component and 1 issue", "page acme deleted, with 1 component and 1 issue", []string{"page", "delete", "acme"}},
	} {
		c.fails(exitUsage, step.would+" would be lost: give --yes", step.args...)
		c.writes(step.did, append(step.args, "--yes")...)
		c.fails(exitFailure, "no ", append(step.args, "--yes")...)
	}
	if out := c.reads("page", "list"); strings.Contains(out, "acme") {
		t.Errorf("left:\n%s", out)
	}
}

// Without an address, a command takes the embedded database and nothing else
// that may listen where that does.
func TestDefaultDatabase(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	answer := func(gitVersion string) string {
		server := mongodbtest.Start(t, mongodbtest.Config{Script: func(name string, _ bson.Raw) bson.D {
			if name == "buildInfo" {
				return bson.D{{Key: "ok", Value: 1.0}, {Key: "version", Value: "7.0.4"}, {Key: "gitVersion", Value: gitVersion}}
			}
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, name)
			return nil
		}})
		return server.Addr()
	}
	remove := func(at, page string) error {
		var out, errs strings.Builder
		c := pageDeleteCmd{deleteFlags: deleteFlags{databaseFlags: databaseFlags{Database: "statustail"}, Yes: true}, ID: page}
		return c.Run(&app{ctx: t.Context(), stdout: &out, stderr: &errs, embedded: at})
	}
	stranger := answer("38f3e37057a43d2e9f41a39142681a76062d582e")
	err := remove(stranger, "acme")
	want := "what listens on " + stranger + " is no embedded database of statustail but a MongoDB 7.0.4, and was left alone: to use it, name it with --mongodb-uri mongodb://" + stranger + "/"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	mu.Lock()
	if i := slices.IndexFunc(asked, func(name string) bool { return slices.Contains(strings.Fields("find insert update delete"), name) }); i >= 0 {
		t.Errorf("it was asked to %s", asked[i])
	}
	mu.Unlock()
	// A mistake needs no database to be told.
	if err := remove(stranger, "Not A Slug"); err == nil || !strings.Contains(err.Error(), "is not a slug") {
		t.Errorf("got %v", err)
	}
	if !embedded.Available {
		return
	}
	db, err := embedded.Open(t.Context(), embedded.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var out, errs strings.Builder
	c := pagePutCmd{pageFlags{databaseFlags: databaseFlags{Database: "statustail"}, ID: "acme", Name: new("Acme")}}
	at := address(db.URI())
	if err := c.Run(&app{ctx: t.Context(), stdout: &out, stderr: &errs, embedded: at}); err != nil ||
		errs.String() != "page acme created (database statustail of the server on this machine, at "+at+")\n" {
		t.Errorf("%v, %q", err, &errs)
	}
}
