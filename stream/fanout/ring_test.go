package fanout

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"statustail/stream/change"
)

func testChannel(cfg Config, s Source, coverage change.Position) *Channel {
	cfg.Portable = true
	return New(cfg).Open("c", s, coverage)
}

// replayed lists what a subscriber with that id is sent, as data.
func replayed(c *Channel, id change.Position) (data []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, p := range c.settle(c.join(id.String(), now), now) {
		data = append(data, parse(string(p.data))...)
	}
	return data
}

func TestRingBounds(t *testing.T) {
	cases := []struct {
		name string
		cfg  Config
		want []string // replayed from position 0 on
	}{
		{"all fit", Config{}, []string{"0", "1", "2", "3", "4", "0 true"}},
		{"count", Config{RingBatches: 3}, []string{"2", "3", "4", "0 true"}},
		{"bytes", Config{RingBytes: 2*len(frame("m", "0")) + 1}, []string{"3", "4", "0 true"}},
		{"nothing fits", Config{RingBytes: 1}, []string{"0 true"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := testChannel(tc.cfg, source(at(10)), at(0))
			for i := range 5 {
				c.Publish(nil, frames(fmt.Sprint(i)), "", at(uint32(i)), 0)
			}
			from := at(uint32(6 - len(tc.want)))
			if got := replayed(c, from); !slices.Equal(got, tc.want) {
				t.Errorf("from the oldest kept: got %q, want %q", got, tc.want)
			}
			if got, want := replayed(c, at(uint32(5-min(5, len(tc.want))))), []string{"0 false"}; len(tc.want) < 6 && !slices.Equal(got, want) {
				t.Errorf("from what was forgotten: got %q, want %q", got, want)
			}
		})
	}
}

func TestRingAge(t *testing.T) {
	var r ring
	cfg := Config{RingAge: time.Minute}.withDefaults()
	start := time.Now()
	for i := range 10 {
		r.add(&batch{data: []byte("x"), upto: at(uint32(i)), at: start.Add(time.Duration(i) * 10 * time.Second), live: true})
	}
	r.trim(&cfg, start.Add(95*time.Second))
	if r.first != 4 || len(r.batches) != 6 || r.bytes != 6 || r.coverage != at(3)+1 || r.end() != 10 {
		t.Errorf("got first %d, %d batches, %d bytes, coverage %v", r.first, len(r.batches), r.bytes, r.coverage)
	}
	r.trim(&cfg, start.Add(time.Hour))
	if r.batches != nil || r.bytes != 0 || r.end() != 10 {
		t.Errorf("got %d batches, %d bytes, end %d", len(r.batches), r.bytes, r.end())
	}
}

// A batch with an unknown operation time is replayed to everybody, and when
// it has been forgotten nobody is told that nothing is missing who could have
// an id from before.
func TestUnknownUpto(t *testing.T) {
	c := testChannel(Config{RingBatches: 2}, source(at(10)), at(0))
	if got, want := replayed(c, at(10)), []string{"0 true"}; !slices.Equal(got, want) { // an id is out
		t.Errorf("got %q, want %q", got, want)
	}
	c.Publish(nil, frames("a"), "", 0, 0)
	if got, want := replayed(c, at(10)), []string{"a", "0 true"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	c.Publish(nil, frames("b"), "", at(11), 0)
	c.Publish(nil, frames("c"), "", at(12), 0)
	if got, want := replayed(c, at(10)), []string{"0 false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := replayed(c, at(11)), []string{"b", "c", "0 true"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
