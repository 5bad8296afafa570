//go:build linux

package live

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"statustail/stream/change"
	"statustail/stream/hund"
	"statustail/stream/status"
)

// script is a loader of pages that never change.
type script struct{}

func (script) Load(_ context.Context, slugs []string, after change.Position) (map[string]Reading, change.Position, error) {
	found := make(map[string]Reading, len(slugs))
	for _, slug := range slugs {
		found[slug] = Reading{Hash: 1, Decode: func() (status.Page, error) {
			page := status.Page{ID: slug, Name: "Page " + slug, URL: "https://example.com", Origins: []string{"*"}, CreatedAt: time.Unix(1, 0)}
			for i := range 3 {
				page.Components = append(page.Components, status.Component{
					ID: fmt.Sprint(slug, "-", i), Name: fmt.Sprint("Component ", i), State: status.Operational,
				})
			}
			return page, nil
		}}
	}
	return found, after, nil
}

func (script) PastIncidents(context.Context, map[string][]string, change.Position) (map[string]map[string]time.Time, error) {
	return nil, nil
}

func (script) Hosts(context.Context, []string, change.Position) (map[string]string, error) {
	return nil, nil
}

func (script) Issues(context.Context, []IssueRef, change.Position) (map[IssueRef]status.Issue, error) {
	return nil, nil
}

// held is a channel with a subscriber.
type held struct{ src change.Source }

func (h *held) Publish(p change.Publication) { h.src = p.Source }
func (h *held) Close()                       {}
func (h *held) Subscribers() int             { return 1 }

type nothing struct{}

func (nothing) Begin(change.Position)          {}
func (nothing) Message(change.Message, []byte) {}
func (nothing) Forget(string, change.Position) {}
func (nothing) Reached(change.Position)        {}

func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What pages cost that are watched and do not change. It depends on the
// machine, and is printed, not asserted.
func TestIdlePagesFigures(t *testing.T) {
	if os.Getenv("STATUSTAIL_FIGURES") == "" {
		t.Skip("a measurement: run it with STATUSTAIL_FIGURES=1 and -v")
	}
	const pages = 100_000
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := New(ctx, Config{
		Loader: script{}, Encoder: hund.Encoder{}, Messages: nothing{},
		Open: func(_ string, src change.Source, _ bool) Channel { return &held{src} },
	})
	p.Trust(true)
	p.Opened(1, 1)
	p.Reached(1)
	before := heap()
	var wg sync.WaitGroup
	for worker := range 100 {
		wg.Go(func() {
			for i := worker; i < pages; i += 100 {
				pg, err := p.Open(ctx, fmt.Sprint("page-", i))
				if err == nil {
					var c Channel
					if c, err = pg.Channel(""); err == nil {
						_ = c.(*held).src.Snapshot(time.Now(), change.Fresh) // for its first subscriber
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%.1f KB each", float64(heap()-before)/pages/1024)
	// Past the minute after which pages are looked at for leaving; the tail
	// moves on as it does on a quiet database.
	at := change.Position(2)
	run := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); at++ {
			<-time.After(500 * time.Millisecond)
			p.Reached(at)
		}
	}
	run(70 * time.Second)
	begun, cpu := time.Now(), used()
	run(6 * time.Minute) // every page has its safety reload
	t.Logf("%.2f %% of a core", 100*(used()-cpu).Seconds()/time.Since(begun).Seconds())
	runtime.KeepAlive(p)
}
