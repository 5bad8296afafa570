package live

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
)

func TestHosts(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.hosts["status.acme.example"] = "acme"
		for range 5 {
			slug, err := w.live.Host(ctx, "status.acme.example")
			equal(t, "slug", slug, "acme")
			equal(t, "error", err, nil)
			_, err = w.live.Host(ctx, "nobody.example")
			if !errors.Is(err, ErrNotFound) {
				t.Error(err)
			}
		}
		equal(t, "look-ups", w.askedCount(), 2)
		equal(t, "after", w.lastAfter(), w.clock) // the tail's own position

		w.mu.Lock()
		w.hosts["nobody.example"] = "acme"
		w.mu.Unlock()
		hint := func(page string, touched change.Touched) {
			w.live.Hint(change.Hint{Collection: change.Pages, Page: page, ID: page, At: w.clock, Touched: touched})
		}
		hint("other", 0)
		_, _ = w.live.Host(ctx, "status.acme.example")
		equal(t, "look-ups after a hint of another page", w.askedCount(), 2)
		hint("other", change.Hosts)
		slug, _ := w.live.Host(ctx, "nobody.example")
		equal(t, "after hosts were touched", slug, "acme")
		equal(t, "look-ups", w.askedCount(), 3)
		hint("acme", 0)
		_, _ = w.live.Host(ctx, "status.acme.example")
		equal(t, "look-ups after a hint of the page", w.askedCount(), 4)
	})
}

// All who come after a restart are served, in a few queries, however many come
// at once.
func TestManyHostsAtOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		const n = 500
		for i := range n {
			w.hosts[fmt.Sprint("h", i)] = fmt.Sprint("p", i)
		}
		w.setGate(make(chan struct{}))
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if slug, err := w.live.Host(context.Background(), fmt.Sprint("h", i)); slug != fmt.Sprint("p", i) {
					t.Errorf("host %d: %q, %v", i, slug, err)
				}
			})
		}
		synctest.Wait()
		w.openGate()
		wg.Wait()
		if n := w.askedCount(); n > 3 {
			t.Errorf("%d queries", n)
		}
	})
}

// An answer that was read before a change is not kept after it, and not given
// to those who ask after it.
func TestLookUpsDoNotGoBack(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		gate := make(chan struct{})
		w.setGate(gate)
		first := make(chan error)
		go func() { _, err := w.live.Host(context.Background(), "h"); first <- err }()
		synctest.Wait() // asked, held back
		w.live.Hint(change.Hint{Collection: change.Pages, Page: "acme", ID: "acme", At: w.clock, Touched: change.Hosts})
		second := make(chan string)
		go func() { slug, _ := w.live.Host(context.Background(), "h"); second <- slug }()
		synctest.Wait()
		w.mu.Lock()
		w.hosts["h"] = "acme"
		w.gate = nil
		w.mu.Unlock()
		close(gate)
		<-first
		equal(t, "asked after the change", <-second, "acme")
	})
}

func TestLookUpsHaveDeadlines(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.setGate(make(chan struct{}))
		defer w.openGate()
		begun := time.Now()
		if _, err := w.live.Issue(context.Background(), "acme", "i"); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
		if d := time.Since(begun); d > 10*time.Second {
			t.Errorf("waited for %v", d)
		}
		gone, leave := context.WithCancel(context.Background())
		leave()
		if _, err := w.live.Issue(gone, "acme", "i"); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
}

// Clients that ask and leave, and ask again, are one query after the other.
func TestIssuesCoalesce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		w.old[IssueRef{"acme", "1"}] = status.Issue{ID: "1", Title: "Long ago"}
		w.setGate(make(chan struct{}))
		for i := range 300 {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			go w.live.Issue(ctx, "acme", fmt.Sprint(i%3))
		}
		pass(time.Second)
		w.openGate()
		is, err := w.live.Issue(context.Background(), "acme", "1")
		equal(t, "title", is.Title, "Long ago")
		equal(t, "error", err, nil)
		for range 100 {
			if _, err := w.live.Issue(context.Background(), "acme", "2"); !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
		}
		if n := w.askedCount(); n > 3 {
			t.Errorf("%d queries", n)
		}
		w.mu.Lock()
		w.old[IssueRef{"acme", "2"}] = status.Issue{ID: "2", Title: "New"}
		w.mu.Unlock()
		w.hint("acme", "2", w.clock)
		is, _ = w.live.Issue(context.Background(), "acme", "2")
		equal(t, "after a hint", is.Title, "New")
	})
}

func TestLookUpsAreBounded(t *testing.T) {
	l := &lookup[int, string]{
		ctx: context.Background(), keep: time.Hour, maxKept: 10, batch: 7,
		ask: func(_ context.Context, keys []int) (map[int]string, error) {
			if len(keys) > 7 {
				t.Errorf("%d keys in one query", len(keys))
			}
			return nil, nil
		},
		tag: func(k int, _ string, _ bool) string { return fmt.Sprint(k % 3) },
	}
	var wg sync.WaitGroup
	for k := range 100 {
		wg.Go(func() {
			if _, found, err := l.get(context.Background(), k); found || err != nil {
				t.Error(found, err)
			}
		})
	}
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	tagged := 0
	for _, keys := range l.byTag {
		tagged += len(keys)
	}
	if len(l.kept) != 10 || tagged != 10 {
		t.Errorf("%d answers are kept, %d tagged", len(l.kept), tagged)
	}
}
