package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"statustail/stream/schema"
)

func TestChecks(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for name, c := range map[string]struct {
		check     func(string) error
		good, bad []string
	}{
		"slug":   {CheckSlug, []string{"a", "acme-2", "0", strings.Repeat("a", 63)}, []string{"", "-a", "A", "a_b", "a.b", strings.Repeat("a", 64), "a\n", "é"}},
		"host":   {checkHost, []string{"status.acme.com", "localhost", "xn--bcher-kva.example", "127.0.0.1", "::1", "_x.acme.com"}, []string{"", "Acme.com", "acme.com:80", "a..b", "-a.com", "a-.com", "a b", "http://a", long, "."}},
		"origin": {checkOrigin, []string{"*", "https://acme.com", "http://localhost:3000", "https://[::1]:8"}, []string{"", "acme.com", "https://acme.com/", "https://acme.com/x", "https://Acme.com", "ftp://a.com", "https://u@a.com", "https://*.acme.com", "null", "https://a.com?x", "https://a b"}},
		"url":    {func(s string) error { return checkURL("url", s) }, []string{"https://acme.com/x?y#z", "http://a"}, []string{"", "acme.com", "javascript:alert(1)", "https://", "https://u:p@a.com", "//a", "https://" + strings.Repeat("a", 3000)}},
		"locale": {checkLocale, []string{"", "en", "pt-BR", "zh-Hans-CN", "de-1996"}, []string{"e", "en_US", "en-", "englishlanguage", "12", "en-US\n"}},
		"zone":   {checkTimeZone, []string{"", "UTC", "Europe/Berlin"}, []string{"Local", "Berlin", "../etc/passwd", "+02:00"}},
		"name":   {func(s string) error { return checkName("name", s) }, []string{"x", "Ünïcode 🚒", "<script>"}, []string{"", " ", "a\nb", "a\x1b[0m", "\xff", long}},
		"line":   {func(s string) error { return checkLine("label", s) }, []string{"", "x"}, []string{"a\x00", long, "\xff"}},
		"body":   {func(s string) error { return checkBody("body", s) }, []string{"", "a\n\nb\t"}, []string{"\xff", strings.Repeat("x", schema.MaxBody+1)}},
		"state":  {func(s string) error { _, err := checkState("state", s); return err }, []string{"", "operational", "partial_outage"}, []string{"down", "Outage", " outage"}},
		"event": {checkEventName,
			[]string{"deploy", "a", "a.b-c_9"}, []string{"", "init_event", "Deploy", "9a", "a b", "a\n", "$changed", long}},
		"data": {func(s string) error {
			v, err := decodeJSON([]byte(s))
			if err == nil {
				err = checkData(v)
			}
			return err
		},
			[]string{"null", "1", `"` + strings.Repeat("x", schema.MaxData-2) + `"`, strings.Repeat(" ", schema.MaxData) + "1", `"x"`, "[]", `{"a":{"b":[1,2.5,true,null]}}`, ` {} `},
			[]string{"", "{", "nope", "{} {}", "1 2", `{"a":}`, `{"a" 1}`, "[1,]", `"` + strings.Repeat("x", schema.MaxData-1) + `"`, `"` + strings.Repeat("<", schema.MaxData/6) + `"`, strings.Repeat("[", 5000), "1e999", "\"\xff\"", `{"a\u0000":1}`, `{"$oid":"x"}`, `{"a":1,"a":2}`, "NaN", "'x'"}},
	} {
		for _, s := range c.good {
			if err := c.check(s); err != nil {
				t.Errorf("%s %q: %v", name, s, err)
			}
		}
		for _, s := range c.bad {
			err := c.check(s)
			var input *InputError
			if !errors.As(err, &input) {
				t.Errorf("%s %.50q: %v, want an InputError", name, s, err)
			} else if len(err.Error()) > 400 || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s %.50q: not a clear line: %q", name, s, err)
			}
		}
	}
}

func TestCheckSchedule(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		starts, ends time.Time
		ok           bool
	}{
		{now, time.Time{}, true},
		{now, now.Add(time.Second), true},
		{now, now, false},
		{now, now.Add(-time.Hour), false},
		{time.Time{}, now, false},
		{now.AddDate(-100, 0, 0), now, false},
	} {
		if err := checkSchedule(c.starts, c.ends); (err == nil) != c.ok {
			t.Errorf("%v to %v: %v", c.starts, c.ends, err)
		}
	}
}

func TestNormalHost(t *testing.T) {
	for in, want := range map[string]string{
		"Status.Acme.com": "status.acme.com", "a.com:8080": "a.com", "a.com.": "a.com", "a.com.:80": "a.com",
		"[::1]:80": "::1", "[::1]": "::1", "::1": "::1", "": "",
	} {
		if got := normalHost(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x",null,true]}`, `{"$oid":1}`, "[[[", `"\ud800"`, "1e400", "-0"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decodeJSON(data)
		if err != nil {
			return
		}
		raw(t, m{"v": v}) // whatever is accepted can be written
	})
}

func TestSentOrigin(t *testing.T) {
	for given, want := range map[string]string{
		"https://Shop.example:443": "https://shop.example", "http://shop.example:80": "http://shop.example",
		"https://shop.example:80": "https://shop.example:80", "http://shop.example:443": "http://shop.example:443",
		"https://shop.example": "https://shop.example", "*": "*",
	} {
		if got := sentOrigin(given); got != want {
			t.Errorf("%s is sent as %s, want %s", given, got, want)
		}
	}
}
