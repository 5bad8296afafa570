package fanout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"statustail/stream/change"
)

// parse lists the data of the events in a stream, and fails on anything that
// is not a whole event.
func parse(stream string) (data []string) {
	for _, ev := range strings.SplitAfter(stream, "\n\n") {
		if ev == "" {
			continue
		}
		if !strings.HasSuffix(ev, "\n\n") {
			return append(data, "broken")
		}
		for line := range strings.Lines(ev) {
			if field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); field == "data" {
				data = append(data, value)
			} else if field != "id" && field != "event" && field != "" {
				data = append(data, "broken")
			}
		}
	}
	return data
}

// FuzzDebt lets a socket take as little as it likes, whenever it likes, while
// events are published, forgotten, and continuity is lost. The reader must
// see whole frames only, in order, and either everything since it was last
// whole or a snapshot that says so, and always a snapshot at the end of a
// resume.
func FuzzDebt(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 200, 255, 40, 40, 3, 3, 3, 90})
	f.Add([]byte("pppppppwpppwwwppppppppppppppphwwwwwwwww"))
	f.Add([]byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 6, 250, 250, 250})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 500 {
			ops = ops[:500]
		}
		s := source(at(1))
		c := testChannel(Config{RingBatches: 7}, s, at(0))
		now := time.Now()
		published := 0
		keyed := map[int]bool{}
		publish := func(key string) {
			published++
			keyed[published] = key != ""
			s := source(at(1))
			s.n.Store(int64(published))
			c.Publish(s, frames(strconv.Itoa(published)), key, at(1), 0)
		}
		c.mu.Lock()
		d := c.join("", now)
		c.mu.Unlock()
		var stream strings.Builder
		write := func(room int) {
			c.mu.Lock()
			pieces := c.settle(d, now)
			c.mu.Unlock()
			n := 0
			for _, p := range pieces {
				part := p.data[:min(len(p.data), room-n)]
				stream.Write(part)
				n += len(part)
			}
			d.pay(pieces, n)
		}
		for _, op := range ops {
			switch op % 8 {
			case 0, 1, 2, 3:
				publish("")
			case 4:
				publish("k" + strconv.Itoa(int(op/8)%2))
			case 5:
				c.Hole(at(1))
			default:
				write(int(op/8) * 3)
			}
		}
		write(1 << 30)
		if pieces := c.settle(d, now); len(pieces) != 0 {
			t.Fatalf("still owed: %v", pieces)
		}

		got := parse(stream.String())
		last := -1 // the newest event, or snapshot, seen
		began := false
		gap := 0 // the first event missing that the next snapshot must own up to
		for k, g := range got {
			var n int
			var told string
			if _, err := fmt.Sscanf(g, "%d %s", &n, &told); err == nil {
				if n < last {
					t.Fatalf("%q: the snapshot %q goes back", got, g)
				}
				if !began && told != "fresh" || began && told == "fresh" {
					t.Fatalf("%q: %q at %d", got, g, k)
				}
				if told == "true" && n != last {
					t.Fatalf("%q: %q, but the last event was %d", got, g, last)
				}
				if gap > 0 && told != "false" {
					t.Fatalf("%q: %d is missing, and %q denies it", got, gap, g)
				}
				began, last, gap = true, n, 0
				continue
			}
			n, err := strconv.Atoi(g)
			if err != nil || !began {
				t.Fatalf("%q: %q at %d", got, g, k)
			}
			if n <= last {
				t.Fatalf("%q: %d after %d", got, n, last)
			}
			for missing := last + 1; missing < n; missing++ {
				if !keyed[missing] && gap == 0 {
					gap = missing
				}
			}
			last = n
		}
		if gap > 0 {
			t.Fatalf("%q: %d is missing, and nobody said so", got, gap)
		}
		if last != published {
			t.Fatalf("%q: ends at %d of %d", got, last, published)
		}
	})
}

// FuzzLastEventID has strangers name any position.
func FuzzLastEventID(f *testing.F) {
	for _, id := range []string{"", "0", at(5).String(), at(2000000).String(), "ffffffffffffffff", "000003ED00000001", "\x00", "é"} {
		f.Add(id, uint64(at(9)))
		f.Add(id, uint64(0))
	}
	f.Fuzz(func(t *testing.T, id string, settled uint64) {
		c := testChannel(Config{}, source(change.Position(settled)), at(3))
		c.Publish(nil, frames("a"), "", at(4), 0)
		c.Publish(nil, frames("b"), "", at(8), 0)
		now := time.Now()
		d := c.join(id, now)
		var got []string
		for _, p := range c.settle(d, now) {
			got = append(got, parse(string(p.data))...)
		}
		pos, err := change.ParsePosition(id)
		var want []string
		switch {
		case id == "":
			want = []string{"0 fresh"}
		case err != nil || pos < at(3) || settled == 0 || uint64(pos.Seconds()) > settled>>32+10:
			want = []string{"0 false"}
		case pos <= at(4):
			want = []string{"a", "b", "0 true"}
		case pos <= at(8):
			want = []string{"b", "0 true"}
		default:
			want = []string{"0 true"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("id %q, settled %x: got %q, want %q", id, settled, got, want)
		}
	})
}
