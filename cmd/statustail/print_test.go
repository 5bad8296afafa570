package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"statustail/stream/hund"
)

var tea = time.Date(2026, 11, 21, 16, 4, 5, 6e6, time.Local)

func TestPrintLine(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"init_event", `{"state":"degraded","percent_uptime":99.987,"page":{"name":"Acme"},"recovered":false,"issues":[
			{"id":"i1","title":"Load","label":"Investigating","standing":true,"components":[{"name":"API"},{"name":"Web"}],
				"updates":[{"label":"Identified"},{"label":"Looking"}]},
			{"id":"i2","title":"Upgrade","label":"Scheduled","standing":false}]}`,
			"16:04:05  init_event       degraded  Acme, uptime 99.98 %  (something may have been missed)\n" +
				"                           i1 \"Load\" [Identified] API, Web\n" +
				"                           i2 \"Upgrade\" [Scheduled, not now] \n"},
		{"status_created", `{"state":"outage","status":{"component":{"name":"API","state":"partial_outage"},"state":"outage"}}`, "16:04:05  status_created   outage  API is partial_outage\n"},
		{"issue_updated", `{"state":null,"update":{"issue_id":"i1","label":"Fixed","body_text":"All\n\nwell"}}`, "16:04:05  issue_updated    pending  i1 [Fixed] All well\n"},
		{"issue_reopened", `{"state":"outage","update":{"issue":{"id":"i1","title":"T","label":"L","standing":true}}}`, "16:04:05  issue_reopened   outage  i1 \"T\" [L] \n"},
		{"ping_event", `{"state":"operational","live":false,"stale_since":1}`, "16:04:05  ping_event       operational  (the server cannot reach its database)\n"},
		{"deploy", "{ \"a\" :\n 1 }", "16:04:05  deploy           {\"a\":1}\n"},
		{"deploy", "not JSON\x1b[2J\a", "16:04:05  deploy           not JSON\uFFFD[2J\uFFFD\n"},
		{"init_event", `{"page":{"name":"\u001b]0;owned\u0007\u202ex"},"state":"operational"}`, "16:04:05  init_event       operational  \uFFFD]0;owned\uFFFD\uFFFDx, uptime 0.00 %\n"},
		{"messages_dropped", `{"count":12}`, "16:04:05  messages_dropped 12 events of the application were missed\n"},
		{"degraded", `[]`, "16:04:05  degraded         []\n"},
	} {
		var b strings.Builder
		if err := printLine(&b, event{At: tea, Name: c.name, Data: []byte(c.data)}); err != nil || b.String() != c.want {
			t.Errorf("%s\n got %q\nwant %q (%v)", c.name, b.String(), c.want, err)
		}
	}
}

// What happened while the stream was away is printed after the snapshot that
// shows it.
func TestPrintAll(t *testing.T) {
	var b strings.Builder
	var known hund.State
	for _, data := range []string{
		`{"state":"operational","page":{"name":"Acme"},"live":true,"components":[{"id":"a","name":"API","state":"operational"}],"issues":[]}`,
		`{"state":"outage","page":{"name":"Acme"},"live":true,"components":[{"id":"a","name":"API","state":"outage"}],
			"issues":[{"id":"i1","title":"Load","label":"Investigating","standing":true}]}`,
	} {
		if err := printAll(&b, printLine, event{At: tea, Name: "init_event", Data: []byte(data)}, &known); err != nil {
			t.Fatal(err)
		}
	}
	if err := printAll(&b, printLine, event{At: tea, Name: "init_event", Data: []byte("[]")}, &known); err != nil {
		t.Fatal(err)
	}
	want := "16:04:05  init_event       operational  Acme, uptime 0.00 %\n" +
		"16:04:05  init_event       outage  Acme, uptime 0.00 %\n" +
		"                           i1 \"Load\" [Investigating] \n" +
		"16:04:05  status_created   outage  API is outage\n" +
		"16:04:05  issue_created    outage  i1 \"Load\" [Investigating] \n" +
		"16:04:05  degraded         outage\n" +
		"16:04:05  init_event       []\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestPrintOps(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{`{"kind":"hint","page":"demo","detail":"issues i1","position":"6b01e1d40000000e"}`, "16:04:05  hint             6b01e1d40000000e demo                 issues i1\n"},
		{`{"detail":"over\u001b the limit"}`, "16:04:05  hint             over\uFFFD the limit\n"},
		{`{"other": 1}`, "16:04:05  hint             {\"other\":1}\n"},
		{`[`, "16:04:05  hint             [\n"},
	} {
		var b strings.Builder
		if err := printOps(&b, event{At: tea, Name: "hint", Data: []byte(c.data)}); err != nil || b.String() != c.want {
			t.Errorf("%s\n got %q\nwant %q (%v)", c.data, b.String(), c.want, err)
		}
	}
}

func FuzzPrint(f *testing.F) {
	f.Add("init_event", []byte(`{"issues":[{"id":"\u001b"}]}`))
	f.Add("x\n\x1b", []byte("\xff\x00"))
	f.Add("issue_created", []byte(`{"issue":null,"update":{"issue":{}}}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		var line, object strings.Builder
		if err := printLine(&line, event{At: tea, Name: name, Data: data}); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(line.String(), "\x00\x07\x1b\x7f\u009b\u202e") {
			t.Fatalf("%q could drive a terminal", line.String())
		}
		if err := printJSON(&object, event{At: tea, Name: name, Data: data}); err != nil {
			t.Fatal(err)
		}
		if s := object.String(); strings.ContainsAny(s, "\x00\x07\x1b\x7f\u009b\u202e") {
			t.Fatalf("%q could drive a terminal", s)
		}
		if s := object.String(); strings.Count(s, "\n") != 1 || !json.Valid([]byte(s)) || !utf8.ValidString(s) {
			t.Fatalf("%q is not one line of JSON", s)
		}
	})
}

func TestPrintJSON(t *testing.T) {
	var b strings.Builder
	at := time.Date(2026, 11, 21, 16, 4, 5, 6e6, time.UTC)
	for _, e := range []event{
		{At: at, ID: "0000000000000001", Name: "degraded", Data: []byte("{\n\"a\": 1}")},
		{At: at, Name: "message", Data: []byte("no JSON")},
		{At: at, Name: "x", Data: []byte("{\"a\u202e\":\"\u009b\u007f é \U0001F600\"}")},
	} {
		if err := printJSON(&b, e); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"at":"2026-11-21T16:04:05.006Z","id":"0000000000000001","event":"degraded","data":{"a":1}}
{"at":"2026-11-21T16:04:05.006Z","event":"message","data":"no JSON"}
{"at":"2026-11-21T16:04:05.006Z","event":"x","data":{"a\u202e":"\u009b\u007f é ` + "\U0001F600" + `"}}
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}
