// Package clients has strangers' clients of event streams read ours, in their
// default settings: each connects, hears every event, and resumes after a
// restart of the server with what it missed.
package clients

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	donovanhide "github.com/donovanhide/eventsource"
	launchdarkly "github.com/launchdarkly/eventsource"
	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"

	"statustail/cmd/statustail/programtest"
	"statustail/cmd/statustail/programtest/chromium"
	"statustail/internal/mongotest"
)

func TestMain(m *testing.M) { programtest.Main(m, chromium.Close) }

// patience is how long anything may take before a test gives up. The slowest
// of the clients waits ten seconds before it comes back.
const patience = time.Minute

// A service is a server on a database that outlives it.
type service struct {
	*programtest.Program
	uri string
}

func start(t *testing.T) service {
	t.Helper()
	uri := mongotest.Start(t).URI()
	s := service{programtest.Start(t, "--mongodb-uri", uri), uri}
	s.do(t, "page", "put", "acme", "--name", "Acme", "--origin", "*")
	s.do(t, "component", "put", "--page", "acme", "--name", "API")
	return s
}

func (s service) do(t *testing.T, args ...string) {
	t.Helper()
	if _, err := programtest.Run(t, s.uri, args...); err != nil {
		t.Fatal(err)
	}
}

func (s service) tick(t *testing.T, n int) {
	t.Helper()
	s.do(t, "publish", "--page", "acme", "--name", "tick", "--data", fmt.Sprintf(`{"n":%d}`, n))
}

func (s service) stream() string { return s.URL + "/acme/live/v2/status_page" }

// restart has the server miss two messages.
func (s service) restart(t *testing.T) {
	t.Helper()
	s.Kill()
	s.tick(t, 3)
	s.tick(t, 4)
	s.Restart()
}

// An ear notes what a client hears.
type ear struct {
	mu    sync.Mutex
	heard []string
	more  chan struct{}
}

func newEar() *ear { return &ear{more: make(chan struct{}, 1)} }

// hear takes an event as a program would: whatever comes is JSON.
func (e *ear) hear(name string, data []byte) {
	var v struct{ N int }
	what := name
	if err := json.Unmarshal(data, &v); err != nil {
		what = fmt.Sprintf("%s with %q, which is no JSON", name, data)
	} else if name == "tick" {
		what = fmt.Sprint("tick ", v.N)
	}
	e.mu.Lock()
	e.heard = append(e.heard, what)
	e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
}

func (e *ear) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.heard)
}

func (e *ear) await(t *testing.T, what string) {
	t.Helper()
	timeout := time.After(patience)
	for !slices.Contains(e.all(), what) {
		select {
		case <-e.more:
		case <-timeout:
			t.Fatalf("never heard %s; heard %q", what, e.all())
		}
	}
}

// complete checks that every message was heard once and in order, and nothing
// that is none of ours.
func complete(t *testing.T, heard []string) {
	t.Helper()
	var ticks []string
	for _, h := range heard {
		switch {
		case strings.HasPrefix(h, "tick "):
			ticks = append(ticks, h)
		case h == "init_event", h == "ping_event", h == "status_updated", h == "component_updated":
		default:
			t.Errorf("heard %s", h)
		}
	}
	if want := []string{"tick 1", "tick 2", "tick 3", "tick 4", "tick 5"}; !slices.Equal(ticks, want) {
		t.Errorf("heard %q, want %q", ticks, want)
	}
}

// hearAll hears what two of the clients give by channels.
func hearAll[E interface {
	Event() string
	Data() string
}](ctx context.Context, events <-chan E, errs <-chan error, e *ear) {
	for {
		select {
		case m := <-events:
			e.hear(m.Event(), []byte(m.Data()))
		case <-errs:
		case <-ctx.Done():
			return
		}
	}
}

func TestGoClients(t *testing.T) {
	for name, listen := range map[string]func(ctx context.Context, t *testing.T, url string, e *ear){
		"r3labs/sse": func(ctx context.Context, _ *testing.T, url string, e *ear) {
			client := r3labs.NewClient(url)
			for ctx.Err() == nil { // it returns at the end of a stream
				_ = client.SubscribeRawWithContext(ctx, func(m *r3labs.Event) { e.hear(string(m.Event), m.Data) })
			}
		},
		"tmaxmax/go-sse": func(ctx context.Context, t *testing.T, url string, e *ear) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			conn := tmaxmax.NewConnection(req)
			conn.SubscribeToAll(func(m tmaxmax.Event) { e.hear(m.Type, []byte(m.Data)) })
			_ = conn.Connect()
		},
		"launchdarkly/eventsource": func(ctx context.Context, t *testing.T, url string, e *ear) {
			stream, err := launchdarkly.Subscribe(url, "")
			if err != nil {
				t.Error(err)
				return
			}
			defer stream.Close()
			hearAll(ctx, stream.Events, stream.Errors, e)
		},
		"donovanhide/eventsource": func(ctx context.Context, t *testing.T, url string, e *ear) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			// It changes the client that it is given, by default everyone's.
			stream, err := donovanhide.SubscribeWith("", &http.Client{}, req)
			if err != nil {
				t.Error(err)
				return
			}
			defer stream.Close()
			hearAll(ctx, stream.Events, stream.Errors, e)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			e := newEar()
			ctx, cancel := context.WithCancel(context.Background())
			var listening sync.WaitGroup
			listening.Go(func() { listen(ctx, t, s.stream(), e) })
			defer listening.Wait()
			defer cancel()
			e.await(t, "init_event")
			s.tick(t, 1)
			s.tick(t, 2)
			e.await(t, "tick 2")
			s.restart(t)
			e.await(t, "tick 4")
			s.tick(t, 5)
			e.await(t, "tick 5")
			complete(t, e.all())
		})
	}
}

//go:embed testdata/clients.js
var bundle string

// npm's clients, and the browser's own, in a page of another origin.
func TestBrowserClients(t *testing.T) {
	s := start(t)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>clients</title><script>%s</script><script>
			window.heard = {}
			for (const [name, listen] of Object.entries(clients)) {
				heard[name] = []
				listen(%q, (event, data) => {
					let what = event
					try { const v = JSON.parse(data); if (event == 'tick') what += ' ' + v.n } catch { what += ' with ' + JSON.stringify(data) + ', which is no JSON' }
					heard[name].push(what)
				})
			}
		</script>`, bundle, s.stream())
	}))
	defer site.Close()
	tab := chromium.NewProfile(t)
	tab.Open(site.URL)
	await := func(what string) {
		t.Helper()
		tab.Within(patience, fmt.Sprintf(`Object.values(heard).every((all) => all.includes(%q))`, what))
	}
	names := chromium.Eval[[]string](tab, `Object.keys(heard)`)
	if len(names) != 6 {
		t.Fatalf("clients: %v", names)
	}
	defer func() {
		if t.Failed() {
			t.Log(chromium.Eval[string](tab, `JSON.stringify(heard)`))
		}
	}()
	await("init_event")
	s.tick(t, 1)
	s.tick(t, 2)
	await("tick 2")
	s.restart(t)
	await("tick 4")
	s.tick(t, 5)
	await("tick 5")
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			complete(t, chromium.Eval[[]string](tab, fmt.Sprintf(`heard[%q]`, name)))
		})
	}
}
