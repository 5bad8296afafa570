//go:build linux

package fanout

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"statustail/stream/change"
)

// Figures depend on the machine, and are printed, not asserted.
func figures(t *testing.T) {
	if os.Getenv("STATUSTAIL_FIGURES") == "" {
		t.Skip("a measurement: run it with STATUSTAIL_FIGURES=1 and -v")
	}
}

// What coming back costs, by how many messages the store holds.
func TestReturnFigures(t *testing.T) {
	figures(t)
	took := map[int]time.Duration{}
	for _, n := range []int{4000, 40_000} {
		h, c := testChannel(Config{}, source(0))
		for i := range n {
			h.say(at(uint32(1+i/3)), "", strings.Repeat("x", 200))
		}
		h.Reached(at(uint32(1 + n)))
		var all []time.Duration
		for round := range 2000 {
			had := change.EventID{At: at(uint32(1 + round*(n/3)/2000))}
			begun := time.Now()
			u, _ := c.subscribe(had, change.Recovered, begun)
			pieces, _ := c.planned(u, begun)
			all = append(all, time.Since(begun))
			if round == 0 && len(pieces) != maxMissed+2 && n > maxMissed {
				t.Fatalf("%d pieces", len(pieces))
			}
		}
		slices.Sort(all)
		took[n] = all[len(all)/2]
		t.Logf("returning to a store of %d messages: median %v, 99th percentile %v", n, took[n], all[len(all)*99/100])
	}
	t.Logf("ratio %.2f", float64(took[40_000])/float64(took[4000]))
}

// What 200 busy pages hold, each with a reader, however much is said on them.
func TestBusyPagesFigures(t *testing.T) {
	figures(t)
	const pages, budget = 200, 64 << 20
	before := heapBytes()
	h := New(Config{Portable: true})
	h.Begin(at(0))
	var channels []*Channel
	for i := range pages {
		c := h.Open(fmt.Sprint("p", i), source(0), true)
		c.readers = 1
		channels = append(channels, c)
	}
	data := strings.Repeat("x", 1000)
	for i := range uint32(400_000) { // 400 MB
		h.Message(change.Message{Page: fmt.Sprint("p", i%pages), Name: "m", At: at(1 + i)}, frame("m", data))
	}
	held := heapBytes() - before
	t.Logf("200 pages, 400,000 messages of 1 KB: %d MB on the heap, budget %d MB, counted %d MB", held>>20, budget>>20, h.store.size()>>20)
	for _, c := range channels {
		c.expire(time.Now().Add(time.Minute))
	}
	t.Logf("when the queues have been emptied: %d MB", (heapBytes()-before)>>20)
	runtime.KeepAlive(h)
}
