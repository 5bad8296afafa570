package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

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
		"issue":                                                     `expected one of "list", "show", "open", "schedule", "update", ... (see statustail --help)`,
		"page edit demo":                                            "edit is empty: want something of the page to change",
		"page edit demo --name ":                                    "name must not be empty",
		"component edit --page d API --name ":                       "name must not be empty",
		"component edit --page d API":                               "edit is empty: want something of the component to change",
		"issue edit i":                                              "edit is empty: want something of the issue to change",
		"issue edit i --ends soon":                                  `--ends "soon": want a time such as 2026-11-21T16:00:00Z, or +10m for ten minutes from now`,
		"issue list --page d --limit 0":                             "--limit must be at least 1",
		"page delete Demo":                                          `page "Demo" is not a slug: want 1 to 63 lower-case letters, digits and hyphens, not beginning with a hyphen`,
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

// Help says of every flag what it is when it is not given, in plain quotes.
func TestHelp(t *testing.T) {
	none := func(string) string { return "" }
	parser, err := newParser(none, io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	lines := [][]string{nil}
	for _, leaf := range parser.Model.Leaves(true) {
		lines = append(lines, strings.Fields(leaf.FullPath())[1:])
	}
	if len(lines) < 25 {
		t.Errorf("only %d commands", len(lines))
	}
	for _, line := range lines {
		code, stdout, stderr := exec(t, nil, append(line, "--help")...)
		if code != exitOK || !strings.Contains(stdout, "Usage: statustail") || stderr != "" {
			t.Errorf("%v: %d, %q", line, code, stderr)
		}
		if i := strings.IndexAny(stdout, "“”‘’"); i >= 0 {
			t.Errorf("%v: a quote that nobody can type: …%s", line, stdout[max(i-60, 0):i+10])
		}
	}
	_, help, _ := exec(t, nil, "serve", "--help")
	help = strings.Join(strings.Fields(help), " ")
	for _, want := range []string{"--listen=ADDR,... Where", "Default: :8080.", "Default: 127.0.0.1:9090.", "Default: 10m.", "Default: text.", "Default: an embedded database."} {
		if !strings.Contains(help, want) {
			t.Errorf("serve --help lacks %q:\n%s", want, help)
		}
	}
	if n := strings.Count(help, "Default: "); n < 20 {
		t.Errorf("only %d defaults:\n%s", n, help)
	}
}

func TestVersion(t *testing.T) {
	code, stdout, _ := exec(t, nil, "version")
	if code != exitOK || !regexp.MustCompile(`^statustail \S+\ngo\S+ \w+/\w+\nrevision .+\n$`).MatchString(stdout) {
		t.Errorf("%d, %q", code, stdout)
	}
	// No variable asks for it in the place of a command.
	env := map[string]string{"STATUSTAIL_VERSION": "true", "STATUSTAIL_PING": "1ms"}
	for line, want := range map[string]string{"--version": stdout[:strings.Index(stdout, "\n")+1], "serve --version": stdout[:strings.Index(stdout, "\n")+1], "serve": ""} {
		if _, stdout, _ := exec(t, env, strings.Fields(line)...); stdout != want {
			t.Errorf("%s: %q, want %q", line, stdout, want)
		}
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

// A database that the environment names in the place of the one on the line is
// told of.
func TestEnvironmentOverData(t *testing.T) {
	env := map[string]string{"STATUSTAIL_MONGODB_URI": "mongodb://user:secret@db.example/"}
	const said = "statustail: --data has no effect: STATUSTAIL_MONGODB_URI in the environment names the database at db.example; unset it to use the embedded one\n"
	for line, want := range map[string]bool{
		"serve --data x": true,
		"serve":          false,
		"serve --data x --mongodb-uri mongodb://a.example": false,
	} {
		// It ends before it looks for a database: the context is done.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var out, errs strings.Builder
		run(ctx, append(strings.Fields(line), "--ops-listen=", "--listen=127.0.0.1:0", "--log-level=error"), &out, &errs, func(name string) string { return env[name] })
		if got := strings.Contains(errs.String(), "has no effect"); got != want || want && !strings.Contains(errs.String(), said) {
			t.Errorf("%s: %q", line, errs.String())
		}
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
