package hundtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"
)

// An Event is what a browser would dispatch.
type Event struct {
	Name, ID, Data string
	At             time.Time // when it was here
}

// Events reads a stream to its end. What is no event, such as a retry:, is
// left out. A line longer than 16 MB ends it.
func Events(stream io.Reader) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		lines := bufio.NewScanner(stream)
		lines.Buffer(nil, 16<<20)
		var e Event
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ":")
			value = strings.TrimPrefix(value, " ")
			switch field {
			case "event":
				e.Name = value
			case "id":
				e.ID = value
			case "data":
				e.Data += value
			case "":
				if e.At = time.Now(); e.Name != "" && !yield(e) {
					return
				}
				e = Event{}
			}
		}
	}
}

// A Reader is one subscriber. Its methods are for one goroutine.
type Reader struct {
	Header http.Header
	LastID string // of the events that were taken

	t      testing.TB
	events chan Event
	cancel context.CancelFunc
}

// patience is how long an event may take before a test gives up. It is no
// measure of speed: these machines are shared.
const patience = time.Minute

// Open subscribes as a browser would, with further headers given as pairs, on
// a connection of its own. It is closed when the test ends.
func Open(t testing.TB, url string, headers ...string) *Reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Accept-Encoding", "gzip, deflate, br")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Transport{}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, res.Status)
	}
	r := &Reader{Header: res.Header, t: t, events: make(chan Event, 100_000), cancel: cancel}
	go func() {
		defer close(r.events)
		defer res.Body.Close()
		for e := range Events(res.Body) {
			r.events <- e
		}
	}()
	return r
}

// Close ends the connection.
func (r *Reader) Close() { r.cancel() }

// Await takes events up to the first that fits, and gives that and those
// before it.
func (r *Reader) Await(what string, fits func(Event) bool) (e Event, before []Event) {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, ok := <-r.events:
			if !ok {
				r.t.Fatalf("the stream ended before %s; it had %s", what, names(before))
			}
			if e.ID != "" {
				r.LastID = e.ID
			}
			if fits(e) {
				return e, before
			}
			before = append(before, e)
		case <-timeout:
			r.t.Fatalf("no %s came within %v; what came: %s", what, patience, names(before))
		}
	}
}

// Next takes events up to the next of that name.
func (r *Reader) Next(name string) Event {
	r.t.Helper()
	e, _ := r.Await(name, func(e Event) bool { return e.Name == name })
	return e
}

// names says what came, shortened.
func names(events []Event) string {
	var b strings.Builder
	for _, e := range events[max(0, len(events)-20):] {
		fmt.Fprintf(&b, "\n%s %.80s", e.Name, e.Data)
	}
	return b.String()
}
