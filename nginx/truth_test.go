package nginx

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"statustail/cmd/statustail/programtest"
	"statustail/nginx/crowd"
)

// An audience is a crowd of which each subscriber keeps the list of issues as
// Hund's client does, so that it can be seen whether all end right.
type audience struct {
	*crowd.Crowd
	mu     sync.Mutex
	issues []map[string]bool // of each subscriber
	known  map[string]step   // what an event's data amounts to
}

// A step is what an event does to a client's list of issues.
type step struct {
	replace     bool
	add, remove []string
}

func attend(t testing.TB, p *proxy, n int) *audience {
	t.Helper()
	a := &audience{issues: make([]map[string]bool, n), known: map[string]step{}}
	c, err := crowd.Start(crowd.Config{Addr: p.addr, Path: live, N: n, Sources: 200, Event: a.event})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	a.Crowd = c
	if err := c.Wait(time.Minute, func(r crowd.Report) bool { return r.Open == n && r.Events >= n }); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *audience) event(i int, e crowd.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.known[string(e.Data)]
	if !ok {
		s = parse(e)
		if len(a.known) > 10_000 {
			clear(a.known)
		}
		a.known[string(e.Data)] = s
	}
	if s.replace || a.issues[i] == nil {
		a.issues[i] = map[string]bool{}
	}
	for _, id := range s.add {
		a.issues[i][id] = true
	}
	for _, id := range s.remove {
		delete(a.issues[i], id)
	}
}

func parse(e crowd.Event) step {
	var d struct {
		Issues []struct{ ID string }
		Issue  *struct{ ID string }
		Update *struct {
			IssueID string `json:"issue_id"`
			Issue   *struct{ ID string }
		}
	}
	if json.Unmarshal(e.Data, &d) != nil {
		return step{}
	}
	var s step
	switch e.Name {
	case "init_event":
		s.replace = true
		for _, is := range d.Issues {
			s.add = append(s.add, is.ID)
		}
	case "issue_created", "issue_started":
		s.add = []string{d.Issue.ID}
	case "issue_reopened":
		s.add = []string{d.Update.Issue.ID}
	case "issue_resolved", "issue_cancelled", "issue_ended":
		if d.Update != nil {
			s.remove = []string{d.Update.IssueID}
		} else {
			s.remove = []string{d.Issue.ID}
		}
	}
	return s
}

// right waits until every subscriber has a stream and knows exactly the
// issues that a server's state has.
func (a *audience) right(t testing.TB, s *server, within time.Duration) {
	t.Helper()
	var wrong int
	var last string
	limit := time.Now().Add(within)
	for time.Now().Before(limit) {
		want := s.issues(t)
		wrong = 0
		a.mu.Lock()
		for _, have := range a.issues {
			if !maps.Equal(have, want) {
				wrong++
				last = fmt.Sprint(slices.Sorted(maps.Keys(have)), " and not ", slices.Sorted(maps.Keys(want)))
			}
		}
		a.mu.Unlock()
		if r := a.Report(); wrong == 0 && r.Open == len(a.issues) {
			return
		}
		time.Sleep(100 * time.Millisecond) // they are told in their own time
	}
	r := a.Report()
	t.Fatalf("%d of %d subscribers are wrong, such as one that has %.500s; open %d, refused %d, statuses %v",
		wrong, len(a.issues), last, r.Open, r.Refused, r.Statuses)
}

// issues are those of the server's state, asked of it directly.
func (s *server) issues(t testing.TB) map[string]bool {
	t.Helper()
	res, body := get(t, s.URL+"/demo/state.json")
	var d struct{ Issues []struct{ ID string } }
	if err := json.Unmarshal([]byte(body), &d); res.StatusCode != http.StatusOK || err != nil {
		t.Fatalf("state.json: %d %.200s", res.StatusCode, body)
	}
	ids := map[string]bool{}
	for _, is := range d.Issues {
		ids[is.ID] = true
	}
	return ids
}

// meddle opens and resolves issues until stop is called, which says how many
// changes there were.
func meddle(t testing.TB, uri string) (stop func() int) {
	t.Helper()
	quit, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { done <- n }()
		var open []string
		for {
			select {
			case <-quit:
				return
			default:
			}
			if len(open) < 3 {
				id, err := programtest.Run(t, uri, "issue", "open", "--page", "demo", "--title", fmt.Sprint("Issue ", n), "--component", "API", "--state", "degraded")
				if err != nil {
					t.Error(err)
					return
				}
				open = append(open, strings.TrimSpace(id))
			} else {
				if _, err := programtest.Run(t, uri, "issue", "resolve", open[0]); err != nil {
					t.Error(err)
					return
				}
				open = open[1:]
			}
			n++
		}
	}()
	return sync.OnceValue(func() int {
		close(quit)
		return <-done
	})
}

// worst is the largest share of times that fall into one span, wherever that
// begins.
func worst(times []time.Time, span time.Duration) float64 {
	if len(times) == 0 {
		return 0
	}
	slices.SortFunc(times, time.Time.Compare)
	most, from := 0, 0
	for i, at := range times {
		for at.Sub(times[from]) > span {
			from++
		}
		most = max(most, i-from+1)
	}
	return float64(most) / float64(len(times))
}

// backFrom waits until at least n streams have ended, and all are there again.
func (a *audience) backFrom(t testing.TB, n int) {
	t.Helper()
	if err := a.Wait(2*time.Minute, func(r crowd.Report) bool { return r.Closed >= n && r.Open == len(a.issues) }); err != nil {
		t.Fatal(err)
	}
}

// all waits until every subscriber has a stream.
func (a *audience) all(t testing.TB) {
	t.Helper()
	a.backFrom(t, 0)
}

// endRight stops the changes, and waits until every subscriber knows what a
// server does. Nobody may have been sent a status other than 200.
func (a *audience) endRight(t testing.TB, s *server, stop func() int) {
	t.Helper()
	changes := stop()
	a.right(t, s, 30*time.Second)
	r := a.Report()
	if len(r.Statuses) > 0 {
		t.Errorf("browsers were sent %v", r.Statuses)
	}
	t.Logf("%d changes, %d streams ended", changes, r.Closed)
}
