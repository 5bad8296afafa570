package live

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

func (w *world) message(page, name string, at change.Position) {
	w.live.Message(change.Message{ID: name, Page: page, Name: name, Data: []byte("1"), At: at})
	w.live.Reached(at)
}

func TestMessagesPassAsTheyAre(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.takeSaid()
		w.message("nobody-watches", "early", w.clock+1)
		gate := make(chan struct{})
		w.watch("acme", "")
		pass(time.Second)
		w.setGate(gate)
		w.hint("acme", "x", w.put("acme", nil))
		w.message("acme", "now", w.clock+1) // however long a reload takes
		equal(t, "passed on", w.takeSaid(), []string{"message nobody-watches  early 1", "message acme  now 1"})
		close(gate)
	})
}

func TestNothingIsOpenBeforeTheFirstCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		w := newWorld(t)
		w.put("acme", nil)
		from := w.clock - 100
		w.live = New(ctx, w.config())
		w.live.Opened(from, w.clock)
		w.message("acme", "old", from+50)
		opened := make(chan error, 1)
		go func() { _, err := w.live.Open(ctx, "acme"); opened <- err }()
		pass(time.Second)
		select {
		case err := <-opened:
			t.Fatalf("opened before the catch-up: %v", err)
		default:
		}
		w.live.Reached(w.clock)
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
		equal(t, "kept", w.takeSaid(), []string{"begin -100", "message acme  old 1"})
	})
}

func TestHoleIsToldAndEverythingReloaded(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		pass(time.Second)
		w.takeSaid()
		at := w.put("acme", state(status.Degraded))
		w.live.Opened(at, at)
		synctest.Wait()
		equal(t, "events", c.take(), []string{"status_created acme-api degraded", "degraded"})
		equal(t, "told", w.takeSaid(), []string{"begin 0"})
		equal(t, "after", w.lastAfter(), at)
	})
}

// A collection was dropped: everything may have changed, but no message is
// missing.
func TestReopenedWithoutAHole(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		pass(time.Second)
		w.takeSaid()
		at := w.put("acme", state(status.Degraded))
		w.live.Reached(at)
		w.live.Opened(at-10, at)
		synctest.Wait()
		equal(t, "events", c.take(), []string{"status_created acme-api degraded", "degraded"})
		equal(t, "told", w.takeSaid(), []string(nil))
	})
}

// What was said on a page is gone when the page is another, watched or not.
func TestPastGoesWithThePage(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.takeSaid()
		hint := func(page string, touched change.Touched) {
			w.live.Hint(change.Hint{Collection: change.Pages, Page: page, ID: page, At: w.clock, Touched: touched})
		}
		hint("acme", change.Hosts)
		hint("nobody-watches", change.Identity)
		hint("acme", change.Identity|change.Hosts)
		equal(t, "forgotten", w.takeSaid(), []string{"forget nobody-watches", "forget acme"})
		// Where hints come by hand and do not say.
		w.watch("acme", "")
		hint("acme", change.Hosts)
		w.put("acme", func(p *status.Page) { p.Private = true })
		pass(time.Minute)
		equal(t, "forgotten", w.takeSaid(), []string{"forget acme"})
	})
}
