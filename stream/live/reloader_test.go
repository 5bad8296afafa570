package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

// One page that no batch may hold keeps no other page stale.
func TestHeavyPageIsSetApart(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		var all []*channel
		for i := range 200 {
			slug := fmt.Sprint("p", i)
			w.put(slug, nil)
			all = append(all, w.watch(slug, ""))
		}
		pass(time.Second)
		w.mu.Lock()
		w.heavy["p77"] = true
		w.mu.Unlock()
		w.setGate(make(chan struct{}))
		for range 8 { // all slots are taken: what follows is one batch
			w.hint("acme", "x", w.put("acme", nil))
		}
		for i := range 200 {
			slug := fmt.Sprint("p", i)
			w.hint(slug, slug+"-api", w.put(slug, state(status.Outage)))
		}
		w.openGate()
		pass(5 * time.Second)
		for i, c := range all {
			want := []string{"status_created " + c.name + "-api outage", "degraded"}
			if i == 77 {
				want = nil
			}
			equal(t, c.name, c.take(), want)
		}
		loads := w.loadCount()
		pass(20 * time.Second)
		if n := w.loadCount() - loads; n > 10 {
			t.Errorf("%d loads in 20 s for one page that fails", n)
		}
		equal(t, "the heavy page", all[77].snapshot(), "init p77 operational stale")
		w.mu.Lock()
		w.heavy = nil
		w.mu.Unlock()
		pass(10 * time.Second)
		equal(t, "the heavy page once it is not", len(all[77].take()), 2)
	})
}

// A page that keeps failing says nothing of the others: new ones are loaded.
func TestHeavyPageIsNoOutage(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.watch("acme", "")
		w.mu.Lock()
		w.heavy["acme"] = true
		w.mu.Unlock()
		w.hint("acme", "x", w.put("acme", nil))
		for i := range 30 {
			slug := fmt.Sprint("p", i)
			w.put(slug, nil)
			pass(10 * time.Second)
			if _, err := w.live.Open(context.Background(), slug); err != nil {
				t.Fatal(err)
			}
			pass(10 * time.Minute)
		}
	})
}

// However many live pages are due, new ones are loaded.
func TestNewPagesGetAShare(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		const n = 4000
		for i := range n {
			slug := fmt.Sprint("p", i)
			w.put(slug, nil)
			w.watch(slug, "")
		}
		w.put("new", nil)
		pass(time.Second)
		w.setGate(make(chan struct{}))
		hint := func() {
			for i := range n {
				slug := fmt.Sprint("p", i)
				w.live.Hint(change.Hint{Collection: change.Issues, Page: slug, ID: "x", At: w.clock})
			}
		}
		hint()
		synctest.Wait()
		opened := make(chan error)
		go func() { _, err := w.live.Open(context.Background(), "new"); opened <- err }()
		synctest.Wait()
		before := w.loadCount()
		w.openGate()
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		next := slices.IndexFunc(w.loads[before:], func(slugs []string) bool { return slices.Contains(slugs, "new") })
		// Four begin at once, in no order; by the time that the last of them
		// is noted, each of the others may have made way for one more.
		if next < 0 || next >= 8 {
			t.Errorf("the new page is in batch %d of those that followed", next)
		}
	})
}

// While the database is away it is asked now and then for one page, whatever
// is due, and everything comes right when it is back.
func TestDatabaseAway(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		const n = 1000
		var all []*channel
		for i := range n {
			slug := fmt.Sprint("p", i)
			w.put(slug, nil)
			all = append(all, w.watch(slug, ""))
		}
		pass(time.Second)
		w.setDown(errors.New("connection refused"))
		for i := range n {
			slug := fmt.Sprint("p", i)
			w.hint(slug, slug+"-api", w.put(slug, state(status.Outage)))
		}
		loads := w.loadCount()
		pass(time.Minute)
		if n := w.loadCount() - loads; n > 60 {
			t.Errorf("%d loads in a minute of an outage", n)
		}
		if _, err := w.live.Open(context.Background(), "new"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a new page meanwhile: %v", err)
		}
		for _, c := range all {
			if got := c.snapshot(); got != "init "+c.name+" operational stale" {
				t.Fatalf("shows %q", got)
			}
		}
		w.setDown(nil)
		pass(20 * time.Second)
		for _, c := range all {
			if got := c.take(); len(got) != 2 {
				t.Fatalf("%s: %q", c.name, got)
			}
		}
		if h := w.live.Health(); h.Err != nil {
			t.Errorf("health: %v", h.Err)
		}
	})
}

// Documents that are what they were cost no decoding, and nothing after it.
func TestUnchangedPagesCostNothing(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		src := c.src
		w.hint("acme", "x", w.put("acme", nil))
		pass(time.Hour)
		if w.loadCount() < 50 {
			t.Fatal("no reloads")
		}
		equal(t, "decoded", w.decoded, 1)
		if c.src != src || len(c.take()) != 0 {
			t.Error("something was published")
		}
	})
}

// A page that exists and cannot be read keeps its last state; it is not gone.
func TestUnreadableKeepsItsState(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		w.mu.Lock()
		w.broken["acme"], w.broken["new"] = true, true
		w.mu.Unlock()
		w.put("new", nil)
		w.hint("acme", "x", w.put("acme", state(status.Outage)))
		pass(time.Minute)
		equal(t, "closed", w.closedNames(), []string(nil))
		equal(t, "shows", c.snapshot(), "init acme operational stale")
		if _, err := w.live.Open(context.Background(), "new"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a new page that cannot be read: %v", err)
		}
		if w.decoded > 4 {
			t.Errorf("decoded %d times", w.decoded)
		}
		w.mu.Lock()
		w.broken = map[string]bool{}
		w.mu.Unlock()
		w.hint("acme", "x", w.put("acme", nil))
		pass(time.Second)
		equal(t, "shows", c.snapshot(), "init acme outage")
		if _, err := w.live.Open(context.Background(), "new"); err != nil {
			t.Error(err)
		}
	})
}

// Every read is after the tail's own position, first loads included.
func TestReadsAreAfterTheTail(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		at := w.put("new", nil)
		w.live.Reached(at)
		w.watch("new", "")
		equal(t, "after", w.lastAfter(), at)
	})
}

// A database whose clock has gone back is read without positions until its
// changes are followed anew.
func TestClockGoesBack(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		c := w.watch("acme", "")
		w.live.Reached(w.clock)
		w.takeSaid()
		w.mu.Lock()
		w.clock -= 1000
		w.mu.Unlock()
		w.put("acme", state(status.Outage))
		pass(time.Minute)
		equal(t, "events", c.take(), []string{"status_created acme-api outage", "degraded"})
		_, _ = w.live.Host(context.Background(), "h")
		equal(t, "after", w.lastAfter(), change.Position(0))
		w.live.Opened(w.clock, w.clock)
		equal(t, "told", w.takeSaid(), []string{"begin 0"})
		w.live.Reached(w.clock)
		pass(time.Second)
		equal(t, "after", w.lastAfter(), w.clock)
		equal(t, "reached", w.live.Health().Reached, w.clock)
	})
}

func TestSafetyReloads(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		t.Run(fmt.Sprint(trusted), func(t *testing.T) {
			run(t, func(t *testing.T, w *world) {
				w.live.Trust(trusted)
				w.watch("acme", "")
				loads := w.loadCount()
				for range 3600 {
					w.mu.Lock()
					w.clock++
					at := w.clock
					w.mu.Unlock()
					w.live.Reached(at)
					pass(time.Second)
				}
				n := w.loadCount() - loads
				if trusted && (n < 9 || n > 16) || !trusted && (n < 80 || n > 160) {
					t.Errorf("%d reloads in an hour", n)
				}
				// A tail that stands still is not trusted.
				loads = w.loadCount()
				pass(time.Hour)
				if n := w.loadCount() - loads; n < 80 || n > 160 {
					t.Errorf("%d reloads in an hour in which the tail stood still", n)
				}
			})
		})
	}
}

// What lies before the window is read with the first load and with the safety
// reload, for the page and for the components that have streams.
func TestPastIncidents(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		end := time.Now().Add(-100 * 24 * time.Hour)
		w.past = map[string]map[string]time.Time{"acme": {"": end, "acme-api": end.Add(-time.Hour)}}
		c := w.watch("acme", "")
		since := func() time.Time {
			return c.view().IncidentFreeSince()
		}
		equal(t, "since", since(), end)
		w.hint("acme", "x", w.put("acme", state(status.Degraded)))
		pass(time.Second)
		equal(t, "since, after a reload", since(), end)
		equal(t, "reads", len(w.pasts), 1)

		api := w.watch("acme", "acme-api")
		pass(time.Second)
		equal(t, "reads", w.pasts[len(w.pasts)-1], map[string][]string{"acme": {"", "acme-api"}})
		equal(t, "of the component", api.view().IncidentFreeSince(), end.Add(-time.Hour))

		w.mu.Lock()
		w.past["acme"][""] = end.Add(time.Hour)
		w.mu.Unlock()
		decoded := w.decoded
		pass(time.Minute)
		equal(t, "since, after a safety reload", since(), end.Add(time.Hour))
		equal(t, "decoded for it", w.decoded-decoded, 0)
	})
}

// A page asked for by many at once is loaded once, and its state is encoded
// once for all.
func TestStateIsEncodedOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		pg, err := w.live.Open(context.Background(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		first, tag := pg.State(time.Now())
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				parts, again := pg.State(time.Now())
				if &parts[1][0] != &first[1][0] || again != tag {
					t.Error("encoded again")
				}
			})
		}
		wg.Wait()
		c := w.watch("acme", "")
		if parts := c.src.Snapshot(time.Now(), change.Recovered); !slices.ContainsFunc(parts, func(p []byte) bool { return &p[0] == &first[1][0] }) {
			t.Error("the snapshot is encoded apart")
		}
	})
}
