package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"statustail/stream/change"
)

func TestJSONLog(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(serveConfig{LogLevel: "info", LogFormat: "json"}, &out)
	log.Info("caught up", "took", 1500*time.Millisecond, "position", change.NewPosition(0x6b05a5e0, 6))
	if got := out.String(); !strings.Contains(got, `"took":1.5,"position":"6b05a5e000000006"`) {
		t.Errorf("got %s", got)
	}
}

func TestLogCannotBeFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := newLogger(serveConfig{LogLevel: "info"}, &out)
		for n := range 100_000 {
			log.Warn("event skipped", "id", n)
			log.With("part", n).Error("something else")
		}
		if n := strings.Count(out.String(), "\n"); n != 2*maxLines {
			t.Fatalf("%d lines", n)
		}
		out.Reset()
		time.Sleep(linesWithin)
		log.Warn("event skipped", "id", "next")
		log.Warn("event skipped", "id", "after")
		if got := strings.Split(out.String(), "\n"); len(got) != 3 || !strings.Contains(got[0], "held_back=99990") || strings.Contains(got[1], "held_back") {
			t.Errorf("got %q", got)
		}
		out.Reset()
		for n := range 3 * maxWords {
			log.Info(fmt.Sprint("words ", n))
		}
		if n := strings.Count(out.String(), "\n"); n != 3*maxWords {
			t.Errorf("%d different lines", n)
		}
		if h := log.Handler().(limiter); len(h.lines.of) > maxWords {
			t.Errorf("%d words are counted", len(h.lines.of))
		}
		var debug bytes.Buffer
		log = newLogger(serveConfig{LogLevel: "debug"}, &debug)
		for range 100 {
			log.Debug("detail")
		}
		if n := strings.Count(debug.String(), "\n"); n != 100 {
			t.Errorf("%d debug lines", n)
		}
	})
}
