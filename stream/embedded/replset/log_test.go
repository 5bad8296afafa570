package replset

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func change(n int, size int) entry {
	id := fmt.Sprintf("%06d", n)
	return entry{Op: opInsert, DB: "db", Coll: "c", ID: bson.RawValue{Type: bson.TypeString, Value: encode(d("x", id)).Lookup("x").Value},
		Doc: encode(d("_id", id, "pad", make([]byte, size)))}
}

func reopen(t *testing.T, dir string, events int, bytes int64) (*changeLog, *entry) {
	t.Helper()
	l, interrupted, err := openLog(dir, events, bytes, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.close() })
	return l, interrupted
}

func TestLogIsThereAgainAfterARestart(t *testing.T) {
	dir := t.TempDir()
	l, _ := reopen(t, dir, 1000, 1<<20)
	if !l.floor.IsZero() {
		t.Errorf("a fresh log begins at %v", l.floor)
	}
	for n := range 100 {
		if err := l.append(change(n, 10)); err != nil {
			t.Fatal(err)
		}
	}
	was, clock := l.entries, l.clock
	l.close()
	l, interrupted := reopen(t, dir, 1000, 1<<20)
	if interrupted != nil || len(l.entries) != len(was) || !l.floor.IsZero() || l.clock != clock {
		t.Fatalf("%d entries, floor %v, clock %v, interrupted %v", len(l.entries), l.floor, l.clock, interrupted)
	}
	for i, e := range l.entries {
		if e.At != was[i].At || string(e.Doc) != string(was[i].Doc) || !e.ID.Equal(was[i].ID) {
			t.Fatalf("entry %d is %+v, was %+v", i, e, was[i])
		}
	}
}

func TestLogIsBounded(t *testing.T) {
	for _, limits := range []struct {
		name   string
		events int
		bytes  int64
	}{{"by number", 50, 1 << 30}, {"by bytes", 1 << 20, 50 * 2000}} {
		t.Run(limits.name, func(t *testing.T) {
			dir := t.TempDir()
			l, _ := reopen(t, dir, limits.events, limits.bytes)
			for n := range 1000 {
				if err := l.append(change(n, 1500)); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(l.entries); n == 0 || n > 60 || l.bytes > limits.bytes && limits.events > 50 {
				t.Errorf("%d entries, %d bytes", n, l.bytes)
			}
			if gone := l.entries[0].At; !l.floor.Before(gone) && l.floor != gone {
				t.Errorf("the floor is %v, the oldest change at %v", l.floor, gone)
			}
			var disk int64
			for _, name := range []string{newerFile, olderFile} {
				if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
					disk += info.Size()
				}
			}
			if disk > 50*2000+2*2000 {
				t.Errorf("%d bytes on disk", disk)
			}
			newest := l.entries[len(l.entries)-1]
			l.close()
			l, _ = reopen(t, dir, limits.events, limits.bytes)
			if n := len(l.entries); n < 20 || l.entries[n-1].At != newest.At {
				t.Errorf("%d entries after a restart", n)
			}
			if !l.floor.After(bson.Timestamp{T: 1}) {
				t.Errorf("after a restart everything from %v on is promised", l.floor)
			}
		})
	}
}

func TestLogSurvivesAProcessThatDies(t *testing.T) {
	dir := t.TempDir()
	l, _ := reopen(t, dir, 1000, 1<<20)
	if err := l.append(change(1, 10)); err != nil {
		t.Fatal(err)
	}
	if err := l.intend(entry{Op: opInsert, DB: "db", Coll: "c", IDs: []bson.RawValue{change(2, 0).ID}}); err != nil {
		t.Fatal(err)
	}
	l.close()
	file := filepath.Join(dir, newerFile)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	half := append(whole, encode(change(3, 100))[:57]...) // half an entry
	if err := os.WriteFile(file, half, 0o600); err != nil {
		t.Fatal(err)
	}
	l, interrupted := reopen(t, dir, 1000, 1<<20)
	if len(l.entries) != 1 || interrupted == nil || interrupted.Will != opInsert || len(interrupted.IDs) != 1 {
		t.Fatalf("%d entries, interrupted %+v", len(l.entries), interrupted)
	}
	if err := l.append(change(4, 10)); err != nil {
		t.Fatal(err)
	}
	l.close()
	l, interrupted = reopen(t, dir, 1000, 1<<20)
	if len(l.entries) != 2 || interrupted != nil {
		t.Errorf("%d entries, interrupted %+v", len(l.entries), interrupted)
	}
}

// What cannot be written to disk is a gap for those who come after a restart.
func TestLogOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	l, _ := reopen(t, dir, 1000, 1<<20)
	for n := range 3 {
		if err := l.append(change(n, 10)); err != nil {
			t.Fatal(err)
		}
	}
	good := l.disk.file
	readOnly, err := os.Open(filepath.Join(dir, newerFile))
	if err != nil {
		t.Fatal(err)
	}
	l.disk.file = readOnly
	if err := l.intend(entry{Op: opInsert}); err == nil {
		t.Error("what cannot be noted is begun")
	}
	if err := l.append(change(3, 10)); err == nil {
		t.Error("no error")
	}
	if s := (&Server{log: l, backend: &backend{}}); len(l.entries) != 4 || s.WriteError() == nil {
		t.Errorf("%d entries in memory, %v", len(l.entries), s.WriteError())
	}
	readOnly.Close()
	l.disk.file = good
	if err := l.append(change(4, 10)); err != nil {
		t.Fatal(err)
	}
	if err := (&Server{log: l, backend: &backend{}}).WriteError(); err != nil {
		t.Error(err)
	}
	l.close()
	l, _ = reopen(t, dir, 1000, 1<<20)
	if len(l.entries) != 1 || l.floor.IsZero() {
		t.Errorf("%d entries from %v on", len(l.entries), l.floor)
	}
}

func TestClockNeverRunsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l, _ := reopen(t, dir, 1000, 1<<20)
		last := l.now()
		look := func(what string) {
			t.Helper()
			if now := l.now(); now.Before(last) {
				t.Errorf("%s: the clock is at %v, was at %v", what, now, last)
			} else {
				last = now
			}
		}
		for n := range 5 {
			if err := l.append(change(n, 1)); err != nil {
				t.Fatal(err)
			}
			look("a write")
		}
		time.Sleep(10 * time.Second) // of the bubble's clock
		if err := l.tick(5); err != nil {
			t.Fatal(err)
		}
		if l.now() == last {
			t.Error("a quiet clock stands still")
		}
		look("a tick")
		l.close()
		l, _ = reopen(t, dir, 1000, 1<<20)
		look("a restart")
		l.clock.T += 3600 // the machine's clock was an hour ahead
		if err := l.append(change(9, 1)); err != nil {
			t.Fatal(err)
		}
		look("a leap")
		l.close()
		l, _ = reopen(t, dir, 1000, 1<<20)
		look("a restart after it")
		if err := l.append(change(10, 1)); err != nil {
			t.Fatal(err)
		}
		look("a write after it")
	})
}

func FuzzToken(f *testing.F) {
	for _, t := range []token{{}, {at: bson.Timestamp{T: 1, I: 2}, kind: event, index: 3}, {at: bson.Timestamp{T: 1, I: 2}, kind: invalidate, index: 3}} {
		f.Add(t.bson()[0].Value.(string))
	}
	f.Fuzz(func(t *testing.T, data string) {
		parsed, ok := parseToken(encode(d("_data", data)))
		if !ok {
			return
		}
		again, ok := parseToken(encode(parsed.bson()))
		if !ok || again != parsed {
			t.Errorf("%q is %+v, and then %+v", data, parsed, again)
		}
	})
}
