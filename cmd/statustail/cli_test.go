package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/embedded"
	"statustail/stream/mongodb/mongodbtest"
)

// exec runs the program.
func exec(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, &out, &errs, func(name string) string { return env[name] })
	return code, out.String(), errs.String()
}

// Every mistake is one clear line on stderr and exit status 2, and needs no
// database to be told.
func TestUsageErrors(t *testing.T) {
	const nowhere = "mongodb://127.0.0.1:1/"
	for line, want := range map[string]string{
		"bogus":                                                     "unexpected argument bogus (see statustail --help)",
		"issue":                                                     `expected one of "open", "schedule", "update", "resolve", "reopen", ... (see statustail --help)`,
		"page put demo":                                             "missing flags: --name=STRING (see statustail --help)",
		"page put Demo --name x":                                    `page "Demo" is not a slug: want 1 to 63 lower-case letters, digits and hyphens, not beginning with a hyphen`,
		"page put demo --name ":                                     "name must not be empty",
		"page put d --name x --url y":                               `url "y": want an address such as https://example.com/status`,
		"page put d --name x --host a:1":                            `hosts "a:1": want a host name in lower case without a port, such as status.example.com`,
		"page put d --name x --origin a.com":                        `origins "a.com": want an origin such as https://example.com, without a path, or *`,
		"page put d --name x --locale e":                            `locale "e": want a language tag such as en or pt-BR`,
		"page put d --name x --time-zone x":                         `time_zone "x": want an IANA time zone such as Europe/Berlin`,
		"component put --page D --name x":                           `page "D" is not a slug: want 1 to 63 lower-case letters, digits and hyphens, not beginning with a hyphen`,
		"component state --page d API down":                         `state "down": want operational, degraded, partial_outage or outage`,
		"component state --page d API":                              `expected "<state>" (see statustail --help)`,
		"issue open --page d --title x --state bad":                 `state "bad": want operational, degraded, partial_outage or outage`,
		"issue open --page d --title x --kind bad":                  `kind "bad": want incident, maintenance or informational`,
		"issue schedule --page d --title x --starts soon":           `--starts "soon": want a time such as 2026-11-21T16:00:00Z, or +10m for ten minutes from now`,
		"issue schedule --page d --title x --starts +-1m":           `--starts "+-1m": want a time such as 2026-11-21T16:00:00Z, or +10m for ten minutes from now`,
		"issue schedule --page d --title x --starts +2m --ends +1m": "schedule.ends_at must be after the start",
		"issue update i":                                            "update is empty: want a label, a body, a state or a progress",
		"issue update i --progress 101":                             "progress is 101: want 0 to 100",
		"issue update i --progress x":                               `--progress: expected a valid 64 bit int but got "x" (see statustail --help)`,
		"publish --page d --name Deploy --data 1":                   `name "Deploy": want 1 to 64 of a-z, 0-9, _, . and -, beginning with a letter`,
		"publish --page d --name ping_event --data 1":               `name "ping_event" is an event of the protocol's own`,
		"publish --page d --name x --data {":                        "data is not JSON that can be published: it ends too early",
		"publish --page d --name x --data {}{}":                     "data is not JSON that can be published: something follows the value",
		"init --database a.b":                                       `--database "a.b" is not the name of a database`,
		"init --database local":                                     `--database "local" is MongoDB's own`,
		"init --mongodb-uri http://x":                               `--mongodb-uri is not a MongoDB URI such as mongodb://host:27017/: error parsing uri: scheme must be "mongodb" or "mongodb+srv"`,
		"watch":                                                     "watch what? give the address of a page, such as http://localhost:8080/demo",
		"watch demo":                                                `"demo": want an address such as http://localhost:8080/demo`,
		"--ping 10ms":                                               "--ping must be at least 1s",
		"--listen x":                                                `--listen "x": want host:port, such as 127.0.0.1:8080, or unix:/path`,
		"--listen unix:":                                            `--listen "unix:": want unix:/path`,
		"--listen :99999":                                           `--listen ":99999": want host:port, such as 127.0.0.1:8080, or unix:/path`,
		"serve --source x":                                          `--source must be one of "auto","changestream","capped" but got "x" (see statustail --help)`,
		"serve --read-preference x":                                 `--read-preference "x": want primary, primaryPreferred, secondary, secondaryPreferred or nearest`,
		"serve --trusted-proxy 10.0.0.0/99":                         `--trusted-proxy "10.0.0.0/99": want a network such as 10.0.0.0/8, or an address`,
		"serve --retry-max=1s":                                      "--retry-min must be at least 1ms, and --retry-max no shorter",
		"serve --retry-min=0s":                                      "--retry-min must be at least 1ms, and --retry-max no shorter",
		"serve --drain=-1s":                                         "--drain must not be negative",
		"serve --max-subscribers=-1":                                "limits must not be negative (0 is none)",
		"serve --reload-concurrency 0":                              "--reload-concurrency must be at least 1",
		"serve --mongodb-uri mongodb://u:secret@h:1/?tls":           "--mongodb-uri is not a MongoDB URI such as mongodb://host:27017/: error parsing uri: invalid option",
		"serve --log-level loud":                                    `--log-level must be one of "debug","info","warn","error" but got "loud" (see statustail --help)`,
	} {
		env := map[string]string{"STATUSTAIL_MONGODB_URI": nowhere}
		code, stdout, stderr := exec(t, env, strings.Split(line, " ")...)
		if code != exitUsage || stdout != "" || stderr != "statustail: "+want+"\n" {
			t.Errorf("%s: status %d\n got %q\nwant %q\n%s", line, code, stderr, want, stdout)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, line := range []string{"--help", "serve --help", "issue open --help"} {
		if code, stdout, stderr := exec(t, nil, strings.Fields(line)...); code != exitOK || !strings.Contains(stdout, "Usage: statustail") || stderr != "" {
			t.Errorf("%s: %d, %q", line, code, stderr)
		}
	}
	code, stdout, _ := exec(t, nil, "version")
	if code != exitOK || !regexp.MustCompile(`^statustail \S+\ngo\S+ \w+/\w+\nrevision .+\n$`).MatchString(stdout) {
		t.Errorf("%d, %q", code, stdout)
	}
}

func TestUnreachableDatabase(t *testing.T) {
	// A port that nobody listens on: taken, and given back.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	start := time.Now()
	code, _, stderr := exec(t, nil, "page", "put", "demo", "--name", "x", "--mongodb-uri", "mongodb://user:hunter2@"+closed+"/?directConnection=true")
	want := "statustail: cannot reach MongoDB at " + closed + " (connection refused): check that it is running and that --mongodb-uri is right\n"
	if code != exitFailure || stderr != want {
		t.Errorf("status %d, %q\nwant %q", code, stderr, want)
	}
	if took := time.Since(start); took > 2*reachWithin {
		t.Errorf("took %v", took)
	}
	if err := unreachable("mongodb://127.0.0.1:27018/", true, errors.New("connection refused")); !strings.Contains(err.Error(), "start statustail here first") {
		t.Errorf("by default: %v", err)
	}
}

// A server that only speaks like MongoDB is refused in one line, by a command
// and by serve, which would wait for one that is away.
func TestOtherProducts(t *testing.T) {
	other := mongodbtest.Start(t, mongodbtest.Config{Script: func(name string, _ bson.Raw) bson.D {
		if name == "buildInfo" {
			return bson.D{{Key: "ok", Value: 1.0}, {Key: "version", Value: "7.0.77"}, {Key: "ferretdb", Value: bson.D{{Key: "version", Value: "v2.5.0"}}}}
		}
		return nil
	}})
	uri := "mongodb://" + other.Addr() + "/?directConnection=true"
	for _, args := range [][]string{
		{"serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--mongodb-uri", uri},
		{"init", "--mongodb-uri", uri},
	} {
		code, _, stderr := exec(t, nil, args...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if last := lines[len(lines)-1]; code != exitFailure || !strings.HasPrefix(last, "statustail: ") || !strings.Contains(last, "the server is FerretDB 2") {
			t.Errorf("%s: status %d, %q", args[0], code, stderr)
		}
	}
}

func TestInterruptedIsNoFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs strings.Builder
	code := run(ctx, []string{"init", "--mongodb-uri", "mongodb://127.0.0.1:1/"}, &out, &errs, func(string) string { return "" })
	if code != exitOK || errs.Len() != 0 {
		t.Errorf("%d, %q", code, errs.String())
	}
}

func TestCredentialsStaySecret(t *testing.T) {
	for uri, host := range map[string]string{
		"mongodb://user:p%40ss@db.example:27017/x?replicaSet=y": "db.example:27017",
		"mongodb+srv://user:p%40ss@db.example":                  "db.example",
		"mongodb://a,b:1/":                                      "a,b:1",
		"mongodb://user:p%40ss@db.example?x":                    "db.example",
	} {
		if got := address(uri); got != host {
			t.Errorf("address of %s: %q", uri, got)
		}
	}
	uri := "mongodb://user:p%40ss@db.example/"
	for _, text := range []string{"bad " + uri, "password p%40ss", "password p@ss", "user:p%40ss"} {
		if got := redact(text, uri); strings.Contains(got, "p%40ss") || strings.Contains(got, "p@ss") {
			t.Errorf("%q stays %q", text, got)
		}
	}
	for _, s := range []string{"", "x", "mongodb://", "@", "a:b@c", "%zz://%zz:%zz@"} {
		redact("some text", s)
		address(s)
	}
}

// Every command, on a real database, through the same function as main.
func TestCommands(t *testing.T) {
	if !embedded.Available {
		t.Skip("built without the embedded database")
	}
	db, err := embedded.Open(t.Context(), embedded.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	env := map[string]string{"STATUSTAIL_MONGODB_URI": db.URI(), "STATUSTAIL_DATABASE": "cli", "STATUSTAIL_PAGE": ""}
	ok := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := exec(t, env, args...)
		if code != exitOK || stderr != "" {
			t.Fatalf("%q: status %d, %s", args, code, stderr)
		}
		return strings.TrimSuffix(stdout, "\n")
	}
	fails := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := exec(t, env, args...)
		if code != exitFailure || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%q: status %d, %q, want a failure about %q", args, code, stderr, want)
		}
	}
	says := func(want string, args ...string) {
		t.Helper()
		if got := ok(args...); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("%q says %q, want %s", args, got, want)
		}
	}
	const id = "[0-9a-f]{24}"

	if out := ok("init"); !strings.Contains(out, "collection pages created") || !strings.Contains(out, "skipped: a validator for pages") {
		t.Errorf("init says\n%s", out)
	}
	says("page acme created", "page", "put", "acme", "--name", "Acme", "--origin", "*", "--host", "status.acme.com", "--private")
	says("page acme changed", "page", "put", "acme", "--name", "Acme", "--no-private", "--host", "")
	says("component "+id+" created", "component", "put", "--page", "acme", "--name", "API, EU", "--group", "Core", "--position=-1")
	says("component "+id+" changed", "component", "put", "--page", "acme", "--name", "API, EU", "--description", "x")
	says("API, EU is degraded", "component", "state", "--page", "acme", "API, EU", "degraded")
	says("API, EU was degraded already", "component", "state", "--page", "acme", "API, EU", "degraded")
	issue := ok("issue", "open", "--page", "acme", "--title", "Heavy load", "--component", "API, EU", "--state", "degraded", "--body", "x")
	if !regexp.MustCompile("^" + id + "$").MatchString(issue) {
		t.Errorf("issue open prints %q", issue)
	}
	says("", "issue", "update", issue, "--label", "Identified", "--body", "y", "--progress", "40")
	says("", "issue", "resolve", issue, "--body", "z")
	fails("already resolved", "issue", "resolve", issue)
	says("", "issue", "reopen", issue)
	fails("not resolved", "issue", "reopen", issue)
	fails("not scheduled", "issue", "cancel", issue)
	planned := ok("issue", "schedule", "--page", "acme", "--title", "Upgrade", "--starts", "+10m", "--ends", "+1h")
	says("", "issue", "cancel", planned)
	says(id, "publish", "--page", "acme", "--name", "deploy", "--data", `{"v":1}`, "--key", "k")

	fails(`no page "nope"`, "issue", "open", "--page", "nope", "--title", "x")
	fails(`no component "nope"`, "issue", "open", "--page", "acme", "--title", "x", "--component", "nope")
	fails(`no page "acme" in database "other"`, "publish", "--database", "other", "--page", "acme", "--name", "x", "--data", "1")
	fails("no issue nope", "issue", "resolve", "nope")
	// A name from outside cannot drive the terminal of who mistypes it.
	_, _, stderr := exec(t, env, "component", "state", "--page", "acme", "a\x1b[2Jb", "outage")
	if strings.Contains(stderr, "\x1b") {
		t.Errorf("%q", stderr)
	}
}

// A flag on the command line wins over the environment, which wins over the
// default.
func TestEnvironment(t *testing.T) {
	env := map[string]string{"STATUSTAIL_PING": "1ms", "STATUSTAIL_TRUSTED_PROXY": "10.0.0.0/8,bad"}
	_, _, stderr := exec(t, env, "serve", "--ping", "5s")
	if !strings.Contains(stderr, `--trusted-proxy "bad"`) {
		t.Errorf("%q", stderr)
	}
	_, _, stderr = exec(t, env, "serve", "--trusted-proxy", "10.0.0.1")
	if !strings.Contains(stderr, "--ping must be") {
		t.Errorf("%q", stderr)
	}
	if _, _, stderr := exec(t, map[string]string{"STATUSTAIL_PRIVATE": "maybe"}, "page", "put", "x", "--name", "x"); !strings.Contains(stderr, "maybe") {
		t.Errorf("%q", stderr)
	}
	if got := envName("max-subscribers-per-ip"); got != "STATUSTAIL_MAX_SUBSCRIBERS_PER_IP" {
		t.Error(got)
	}
}

func TestServeFlags(t *testing.T) {
	var c serveConfig
	c.TrustedProxy = []string{"10.1.2.3/8", "192.168.0.1", "2001:db8::1"}
	got, err := c.trustedProxies()
	if err != nil || len(got) != 3 || got[0].String() != "10.0.0.0/8" || got[1].String() != "192.168.0.1/32" || got[2].String() != "2001:db8::1/128" {
		t.Errorf("%v, %v", got, err)
	}
	c.ReadPreference = "secondaryPreferred"
	if rp, err := c.readPreference(); err != nil || rp.Mode().String() != "secondaryPreferred" {
		t.Errorf("%v, %v", rp, err)
	}
	c.ReadPreference = ""
	if rp, err := c.readPreference(); err != nil || rp != nil {
		t.Errorf("%v, %v", rp, err)
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"+10m", "2026-11-21T16:00:00Z", "+", "+-1h", "", "+1e9h", "0000-00-00T00:00:00Z"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		at, err := parseTime("--starts", s, now)
		if err == nil && strings.HasPrefix(s, "+") && at.Before(now) {
			t.Fatalf("%q is %v, in the past", s, at)
		}
		if err != nil && !errors.As(err, new(usageError)) {
			t.Fatalf("%q: %v is no usage error", s, err)
		}
		_, _ = json.Marshal(at)
	})
}
