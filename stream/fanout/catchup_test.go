package fanout

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"statustail/stream/change"
)

// testChannel is of a page of which everything from at(0) on is here.
func testChannel(cfg Config, s *counter) (*Hub, *Channel) {
	cfg.Portable = true
	h := New(cfg)
	h.Begin(at(0))
	return h, h.Open("p", s, true)
}

// parse lists the data of the events in a stream, with the ids of those that
// have one, and fails on anything that is not a whole event.
func parse(stream string) (data, ids []string) {
	for _, ev := range strings.SplitAfter(stream, "\n\n") {
		if ev == "" {
			continue
		}
		if !strings.HasSuffix(ev, "\n\n") {
			return append(data, "broken"), append(ids, "")
		}
		d, id := "broken", ""
		for line := range strings.Lines(ev) {
			switch field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); field {
			case "data":
				d = value
			case "id":
				id = value
			case "event", "":
			default:
				return append(data, "broken"), append(ids, "")
			}
		}
		data, ids = append(data, d), append(ids, id)
	}
	return data, ids
}

// socket writes a plan as far as there is room.
func (u *catchUp) socket(pieces []piece, room int, into *strings.Builder) {
	n := 0
	for _, p := range pieces {
		for _, part := range p.parts {
			part = part[:min(len(part), room-n)]
			into.Write(part)
			n += len(part)
		}
	}
	u.wrote(pieces, n, time.Time{})
}

// FuzzCatchUp lets a socket take as little as it likes, whenever it likes,
// while state and messages are published, forgotten, and continuity is lost.
// The reader must see whole frames only; a snapshot before anything else; of
// the messages each once and in order, or one that replaced it, or word that
// some are missing; ids that never go back; and in the end what is true.
func FuzzCatchUp(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 200, 255, 40, 40, 3, 3, 3, 90})
	f.Add([]byte("pppppppwpppwwwppppppppppppppphwwwwwwwww"))
	f.Add([]byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 6, 250, 250, 250})
	f.Add([]byte("7077\xed")) // continuity is lost while the socket is full
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 500 {
			ops = ops[:500]
		}
		h, c := testChannel(Config{ReplayBytes: 8 * (messageCost + 60)}, source(0))
		u, _ := c.subscribe(change.EventID{}, change.Fresh, time.Time{})
		now, said, shown, begun := time.Now(), 0, 0, 0
		here := func() change.Position { return at(uint32(1 + begun + said/3)) }
		keyed := map[int]bool{}
		say := func(key string) {
			said++
			keyed[said] = key != ""
			h.say(here(), key, fmt.Sprint("m", said))
		}
		var stream strings.Builder
		for _, op := range ops {
			switch op % 8 {
			case 0, 1, 2:
				say("")
			case 3:
				say("k" + strconv.Itoa(int(op/8)%2))
			case 4:
				shown++
				c.Publish(change.Publication{Source: source(int64(shown)), Frames: frames(fmt.Sprint("s", shown))})
			case 5:
				switch op / 8 % 4 {
				case 0:
					h.Forget("p", at(0))
				case 1: // something was said that is lost
					begun++
					said++
					h.Begin(here())
				default:
					h.Reached(here())
				}
			default:
				pieces, _ := c.planned(u, now)
				u.socket(pieces, int(op/8)*3, &stream)
			}
		}
		for range 2 {
			pieces, _ := c.planned(u, now)
			u.socket(pieces, 1<<30, &stream)
		}
		if pieces, _ := c.planned(u, now); len(pieces) != 0 {
			t.Fatalf("still needed: %v", pieces)
		}

		got, ids := parse(stream.String())
		next, state := 0, -1 // the message due, 0: any; the state known
		last := ""
		missing := 0
		for k, g := range got {
			if ids[k] != "" {
				if ids[k] < last && len(ids[k]) == len(last) {
					t.Fatalf("%q: the id %s after %s", got, ids[k], last)
				}
				last = ids[k]
			}
			var n int
			var word string
			if _, err := fmt.Sscanf(g, "m%d", &n); err == nil {
				if state < 0 || next > 0 && n < next {
					t.Fatalf("%q: %s when %d was due", got, g, next)
				}
				for lost := next; next > 0 && lost < n; lost++ {
					if !keyed[lost] && missing == 0 {
						missing = lost
					}
				}
				next = n + 1
			} else if _, err := fmt.Sscanf(g, "s%d", &n); err == nil {
				t.Fatalf("%q: state is never replayed", got)
			} else if _, err := fmt.Sscanf(g, "%d %s", &n, &word); err == nil {
				if n < state || (state < 0) != (word == "fresh") {
					t.Fatalf("%q: the snapshot %q after %d", got, g, state)
				}
				if state = n; word == "false" {
					next, missing = 0, 0
				}
			} else {
				t.Fatalf("%q: %q", got, g)
			}
			if missing > 0 {
				t.Fatalf("%q: %d is missing", got, missing)
			}
		}
		if state != shown || next > 0 && next <= said {
			t.Fatalf("%q: ends with %d of %d, state %d of %d", got, next-1, said, state, shown)
		}
	})
}

// FuzzLastEventID has strangers name any position.
func FuzzLastEventID(f *testing.F) {
	for _, text := range []string{"", "0", id(at(5), 0), id(at(8), 1), id(at(2000000), 3), "ffffffffffffffff", "000003ED00000001", "\x00", "é"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, c := testChannel(Config{}, source(0))
		h.say(at(4), "", "a")
		h.say(at(8), "", "b")
		h.say(at(8), "", "c")
		h.Reached(at(9))
		given, err := change.ParseEventID(text)
		r := change.Recovered
		if err != nil || given.At == 0 {
			r = change.Unrecovered
		}
		u, _ := c.subscribe(given, r, time.Now())
		pieces, _ := c.planned(u, time.Now())
		var stream strings.Builder
		u.socket(pieces, 1<<30, &stream)
		got, _ := parse(stream.String())
		want := "0 true"
		if err != nil || given.At < at(0) || given.At > at(9) || given.At == at(9) && given.Passed > 0 {
			want = "0 false"
		}
		if err == nil && given.At <= at(9) && given.At > 0 && !(given.At == at(9) && given.Passed > 0) {
			for k, at := range []change.EventID{{At: at(4), Passed: 1}, {At: at(8), Passed: 1}, {At: at(8), Passed: 2}} {
				if given.Before(at) {
					want += " " + string("abc"[k])
				}
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("id %q: got %q, want %q", text, got, want)
		}
	})
}

// Readers that stall while the page does not change hold one snapshot between
// them, and what is their own of it is small.
func TestStalledReadersShareTheSnapshot(t *testing.T) {
	s := source(0)
	s.pad = strings.Repeat("-", 1<<20)
	_, c := testChannel(Config{}, s)
	for range 100 {
		u, _ := c.subscribe(change.EventID{}, change.Fresh, time.Now())
		pieces, _ := c.planned(u, time.Now())
		var sink strings.Builder
		u.socket(pieces, 5000, &sink)
		own := 0
		for _, part := range u.rest {
			if len(part) < 1<<19 {
				own += cap(part)
			} else if &part[len(part)-1] != &u.rest[0][len(u.rest[0])-1] {
				t.Fatal("the large part is a copy")
			}
		}
		if own > 256 {
			t.Fatalf("a reader holds %d bytes of its own", own)
		}
	}
}

// A reader must make progress, not just take a byte now and then.
func TestProgress(t *testing.T) {
	begun := time.Now()
	u := &catchUp{since: begun}
	pieces := []piece{{parts: [][]byte{make([]byte, 10*enough)}}}
	later := begun.Add(time.Minute)
	u.wrote(pieces, enough-1, later)
	if u.since != begun {
		t.Error("less than enough counts as progress")
	}
	u.wrote(pieces, 1, later)
	if u.since != later || u.taken != 0 {
		t.Error("enough does not count as progress")
	}
}
