package fanout

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"statustail/stream/change"
)

// What a reader that comes back is sent: the state first, then exactly what it
// missed.
func TestResume(t *testing.T) {
	cases := []struct {
		name, id string
		want     []string
		shown    string // the id of init; empty: id
	}{
		{"before all", id(at(10), 0), []string{"init 0 true", "m a", "m b", "m c", "m d", "m e"}, ""},
		{"between positions", id(at(25), 0), []string{"init 0 true", "m b", "m c", "m d", "m e"}, ""},
		{"none of a position", id(at(30), 0), []string{"init 0 true", "m b", "m c", "m d", "m e"}, ""},
		{"in the middle of a position", id(at(30), 1), []string{"init 0 true", "m c", "m d", "m e"}, ""},
		{"all of a position", id(at(30), 3), []string{"init 0 true", "m e"}, ""},
		{"up to date", id(at(40), 1), []string{"init 0 true"}, ""},
		{"on a quiet page", id(at(50), 0), []string{"init 0 true"}, ""},
		{"older than what is here", id(at(9), 0), []string{"init 0 false", "m a", "m b", "m c", "m d", "m e"}, id(at(20), 0)},
		{"ahead of the tail", id(at(51), 0), []string{"init 0 false"}, id(at(50), 0)},
		{"far ahead", id(at(100000), 0), []string{"init 0 false"}, id(at(50), 0)},
		{"malformed", "17", []string{"init 0 false"}, id(at(50), 0)},
		{"upper case", strings.ToUpper(change.Position(0xabcdef).String()), []string{"init 0 false"}, id(at(50), 0)},
		{"zero", id(0, 0), []string{"init 0 false"}, id(at(50), 0)},
		{"hostile", strings.Repeat("9", 4000), []string{"init 0 false"}, id(at(50), 0)},
		{"none", "", []string{"init 0 fresh"}, id(at(50), 0)},
	}
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.Begin(at(10))
		e.say(at(20), "", "a")
		e.shown = e.Open("p", source(0), true)
		for _, data := range []string{"b", "c", "d"} {
			e.say(at(30), "", data)
		}
		e.say(at(40), "", "e")
		e.Message(change.Message{Page: "other", Name: "m", At: at(45)}, frame("m", "elsewhere"))
		e.Reached(at(50))
		for _, tc := range cases {
			cl := e.connect("", tc.id)
			cl.want("retry")
			last := ""
			for k, w := range tc.want {
				ev := cl.want(w)
				want := tc.shown
				if want == "" {
					want = tc.id
				}
				if k == 0 && ev.id != want {
					t.Errorf("%s: init has the id %q, want %q", tc.name, ev.id, want)
				}
				if ev.id < last {
					t.Errorf("%s: %s has the id %q after %q", tc.name, w, ev.id, last)
				}
				last = ev.id
			}
			e.shown.state("after")
			cl.want("m after")
			cl.close()
		}
	})
}

// A reader that is ahead of the tail is kept waiting a moment: another server
// may have been quicker.
func TestJoinWaitsForTheTail(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.show(source(0), at(1))
		joined := make(chan *client)
		go func() { joined <- e.connect("", id(at(2), 1)) }()
		eventually(t, "it waits", func() bool {
			e.store.mu.Lock()
			defer e.store.mu.Unlock()
			return e.store.moved != nil
		})
		e.say(at(2), "", "had")
		e.say(at(2), "", "not had")
		cl := <-joined
		cl.want("retry")
		cl.want("init 0 true")
		cl.want("m not had")
	})
}

func TestCatchUpConflatesKeys(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.show(source(0), at(1))
		e.say(at(2), "x", "x1")
		e.say(at(3), "y", "y1")
		e.say(at(4), "", "z")
		e.say(at(5), "x", "x2")
		cl := e.connect("", id(at(1), 0))
		for _, w := range []string{"retry", "init 0 true", "m y1", "m z", "m x2"} {
			cl.want(w)
		}
		// A reader that keeps up gets them all.
		e.say(at(6), "x", "x3")
		cl.want("m x3")
		e.say(at(7), "x", "x4")
		cl.want("m x4")
	})
}

func TestCatchUpIsBounded(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.show(source(0), at(1))
		for n := range uint32(maxMissed + 5) {
			e.say(at(2+n/7), "", strconv.Itoa(int(n)))
		}
		cl := e.connect("", id(at(1), 0))
		cl.want("retry")
		cl.want("init 0 true")
		dropped := cl.want("dropped 5")
		for n := range maxMissed {
			cl.want("m " + strconv.Itoa(n+5))
		}
		// A reader that leaves after word of it goes on behind what was dropped.
		again := e.connect("", dropped.id)
		again.want("retry")
		again.want("init 0 true")
		again.want("m 5")

		big := strings.Repeat("-", maxMissedBytes/3)
		for n := range uint32(5) {
			e.say(at(1000+n), "", big)
		}
		cl = e.connect("", id(at(999), 0))
		for _, w := range []string{"retry", "init 0 true", "dropped 3", "m " + big, "m " + big} {
			cl.want(w)
		}
	})
}

// History that was lost is told to those who are here and to those who return.
func TestBeginAnew(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.show(source(0), at(1))
		cl := e.connect("", "")
		cl.want("retry")
		cl.want("init 0 fresh")
		e.say(at(3), "", "news")
		cl.want("m news")
		e.Begin(at(20))
		e.say(at(21), "", "more")
		if ev := cl.want("init 0 false"); ev.id != id(at(20), 0) {
			t.Errorf("told with the id %q", ev.id)
		}
		cl.want("m more")

		before := e.connect("", id(at(19), 0))
		before.want("retry")
		before.want("init 0 false")
		before.want("m more")
		after := e.connect("", id(at(20), 0))
		after.want("retry")
		after.want("init 0 true")
		after.want("m more")

		// A restored backup: the clock has gone back.
		e.Begin(at(5))
		e.say(at(6), "", "again")
		cl.want("init 0 false")
		cl.want("m again")
		ahead := e.connect("", id(at(21), 1))
		ahead.want("retry")
		ahead.want("init 0 false")
	})
}

// What was said on a page before it became another's is gone.
func TestForget(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.show(source(0), at(1))
		e.say(at(3), "", "secret")
		e.say(at(4), "k", "secret too")
		e.Forget("p", at(4))
		e.say(at(4), "", "in the same transaction")
		e.say(at(5), "", "public")
		e.Reached(at(5))
		for _, had := range []string{id(at(2), 0), id(at(3), 1), id(at(4), 0)} {
			cl := e.connect("", had)
			cl.want("retry")
			cl.want("init 0 false")
			cl.want("m in the same transaction")
			cl.want("m public")
			cl.close()
		}
		cl := e.connect("", id(at(4), 1))
		cl.want("retry")
		cl.want("init 0 true")
		cl.want("m in the same transaction")
		cl.want("m public")
	})
}

// A channel without messages has the ids of its page.
func TestChannelWithoutMessages(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.show(source(0), at(1))
		e.shown = e.Open("p", source(0), false)
		e.say(at(2), "", "a")
		cl := e.connect("", id(at(1), 0))
		cl.want("retry")
		cl.want("init 0 true")
		e.say(at(3), "", "b")
		e.shown.state("c")
		cl.want("m c")
		fresh := e.connect("", "")
		fresh.want("retry")
		if ev := fresh.want("init 0 fresh"); ev.id != id(at(3), 1) {
			t.Errorf("got id %q", ev.id)
		}
	})
}

// A reader that joins while messages are passed on sees each of them once,
// whether the channel was there before or is opened meanwhile.
func TestJoiningIsExact(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.Begin(at(0))
		e.Reached(at(0))
		const n = 3000
		ahead := make(chan struct{}, maxMissed/2) // or some would be dropped
		go func() {
			for i := range uint32(n) {
				ahead <- struct{}{}
				e.say(at(1+i/5), "", strconv.Itoa(int(i)))
				if i%5 == 4 {
					e.Reached(at(1 + i/5))
				}
			}
		}()
		next, last := 0, id(at(0), 0)
		for round := 0; next < n; round++ {
			if round%3 == 0 {
				e.shown = e.Open("p", source(0), true)
			}
			cl := e.connect("", last)
			cl.want("retry")
			cl.want("init 0 true")
			for range min(100, n-next) {
				last = cl.want("m " + strconv.Itoa(next)).id
				next++
				<-ahead
			}
			cl.close()
			if round%3 == 2 {
				e.shown.Close()
			}
		}
	})
}

// A reader that stalls and comes back has missed nothing that matters, and
// holds up no other.
func TestStalledReaderIsResumed(t *testing.T) {
	eachKind(t, Config{Stuck: time.Minute}, func(t *testing.T, e *env) {
		c := e.show(source(0), at(1))
		slow := e.stall()
		good := e.connect("", "")
		good.want("retry")
		good.want("init 0 fresh")
		pad := strings.Repeat("-", 64<<10)
		const n = 200 // 13 MB, more than any buffer between
		for i := range n {
			if i < n/2 {
				c.state(pad)
				good.want("m " + pad)
				continue
			}
			e.say(at(uint32(2+i)), "", strconv.Itoa(i))
			good.want("m " + strconv.Itoa(i))
		}
		slow.want("retry")
		slow.want("init 0 fresh")
		next := n / 2
		for next < n {
			ev, err := slow.next()
			switch {
			case err != nil:
				t.Fatal(err)
			case ev.data == pad && next == n/2: // what the buffers held
			case ev.name == "init" && ev.data == "0 true":
			case ev.data == strconv.Itoa(next):
				next++
			default:
				t.Fatalf("got %s %.20q when %d was due", ev.name, ev.data, next)
			}
		}
		c.state("after")
		slow.want("m after")
		good.want("m after")
		if got := value(e.metrics.resumes); got < 1 {
			t.Errorf("%v resumes counted", got)
		}
	})
}

// What the store has lost meanwhile is said to be missing.
func TestStalledReaderBeyondTheStore(t *testing.T) {
	eachKind(t, Config{Stuck: time.Minute, ReplayBytes: 1 << 20}, func(t *testing.T, e *env) {
		e.show(source(0), at(1))
		slow := e.stall()
		pad := strings.Repeat("-", 256<<10)
		good := e.connect("", "")
		good.want("retry")
		good.want("init 0 fresh")
		for i := range uint32(50) {
			e.say(at(2+i), "", strconv.Itoa(int(i))+pad)
			good.want(fmt.Sprintf("m %d%s", i, pad))
		}
		for {
			ev, err := slow.next()
			if err != nil {
				t.Fatal(err)
			}
			if ev.data == "0 false" {
				break
			}
		}
		e.say(at(100), "", "after")
		for {
			ev, err := slow.next()
			if err != nil {
				t.Fatal(err)
			}
			if ev.data == "after" {
				break
			}
		}
	})
}

// With nothing kept, nothing breaks: readers that return are told.
func TestNoReplay(t *testing.T) {
	eachKind(t, Config{Replay: -1}, func(t *testing.T, e *env) {
		e.Begin(at(0))
		e.Reached(at(1))
		for i := range uint32(10) {
			e.say(at(2+i), "", "before")
		}
		e.show(source(0), at(1))
		cl := e.connect("", "")
		cl.want("retry")
		cl.want("init 0 fresh")
		e.say(at(20), "", "a")
		e.say(at(20), "", "b")
		cl.want("m a")
		last := cl.want("m b").id
		e.Reached(at(21))
		again := e.connect("", last)
		again.want("retry")
		again.want("init 0 true")
		late := e.connect("", id(at(20), 1))
		late.want("retry")
		late.want("init 0 false")
	})
}
