package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A script is the answers of a server, one a connection. It runs inside a
// synctest bubble, where a minute takes no time.
type script struct {
	t       *testing.T
	answers []func(r *http.Request, body *io.PipeWriter) *http.Response

	asked []time.Duration // since the beginning, one a connection
	ids   []string        // the Last-Event-ID of each
	start time.Time
	done  func() // called when the answers are used up
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, time.Since(s.start))
	s.ids = append(s.ids, r.Header.Get("Last-Event-ID"))
	if len(s.asked) > len(s.answers) {
		s.done()
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	reader, writer := io.Pipe()
	context.AfterFunc(r.Context(), func() { writer.CloseWithError(r.Context().Err()) })
	resp := s.answers[len(s.asked)-1](r, writer)
	if resp == nil {
		return nil, errors.New("connection refused")
	}
	resp.Body = reader
	return resp, nil
}

func answer(code int, contentType string) *http.Response {
	return &http.Response{
		StatusCode: code, Status: fmt.Sprint(code, " ", http.StatusText(code)),
		Header: http.Header{"Content-Type": {contentType}},
	}
}

// stream answers with an event stream: what is written, then the end unless
// it stays open.
func stream(text string, open bool) func(*http.Request, *io.PipeWriter) *http.Response {
	return func(_ *http.Request, body *io.PipeWriter) *http.Response {
		go func() {
			_, _ = io.WriteString(body, text)
			if !open {
				body.Close()
			}
		}()
		return answer(http.StatusOK, "text/event-stream; charset=utf-8")
	}
}

func withStatus(code int) func(*http.Request, *io.PipeWriter) *http.Response {
	return func(_ *http.Request, body *io.PipeWriter) *http.Response {
		body.Close()
		return answer(code, "application/json")
	}
}

func refuse(*http.Request, *io.PipeWriter) *http.Response { return nil }

// watch runs a watcher for a while.
func watch(t *testing.T, for_ time.Duration, pinged bool, answers ...func(*http.Request, *io.PipeWriter) *http.Response) (events []event, notices []string, s *script, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), for_)
	defer cancel()
	s = &script{t: t, answers: answers, start: time.Now(), done: cancel}
	w := watcher{
		url: "http://test/demo/live/v2/status_page", pinged: pinged, transport: s,
		event:  func(e event) error { events = append(events, e); return nil },
		notice: func(format string, args ...any) { notices = append(notices, fmt.Sprintf(format, args...)) },
	}
	err = w.run(ctx)
	return events, notices, s, err
}

func TestWatchGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, _, s, err := watch(t, time.Minute, true,
			stream("retry: 5000\nid: 0000000000000001\nevent: init_event\ndata: {}\n\n", false),
			stream("event: degraded\ndata: {\ndata: }\n\n: comment\n\nid: 0000000000000002\ndata: x\n\n", false),
			refuse,
			stream("event: restored\ndata: {}\n\n", true),
		)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range events {
			got = append(got, fmt.Sprintf("%s %s %q", e.ID, e.Name, e.Data))
		}
		want := []string{
			`0000000000000001 init_event "{}"`, `0000000000000001 degraded "{\n}"`,
			`0000000000000002 message "x"`, `0000000000000002 restored "{}"`,
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("events\n%s", strings.Join(got, "\n"))
		}
		if got := strings.Join(s.ids, ","); got != ",0000000000000001,0000000000000002,0000000000000002" {
			t.Errorf("resumed after %s", got)
		}
		// The server asked for five seconds, and gets them.
		for i := 1; i < len(s.asked); i++ {
			if wait := s.asked[i] - s.asked[i-1]; wait < 5*time.Second || wait > 6*time.Second {
				t.Errorf("waited %v before attempt %d", wait, i)
			}
		}
	})
}

func TestWatchBacksOffAndForgivesFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make([]func(*http.Request, *io.PipeWriter) *http.Response, 0, 30)
		for range 20 {
			answers = append(answers, refuse)
		}
		answers = append(answers, stream("data: 1\n\n", false), refuse)
		_, notices, s, err := watch(t, time.Hour, true, answers...)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.asked) < len(answers) {
			t.Fatalf("gave up after %d attempts", len(s.asked))
		}
		for i := 1; i < len(s.asked); i++ {
			limit := min(maxBackoff, time.Second<<min(i-1, 10))
			if i > 20 {
				limit = 2 * time.Second // it had worked
			}
			if wait := s.asked[i] - s.asked[i-1]; wait > limit {
				t.Errorf("waited %v before attempt %d, want at most %v", wait, i, limit)
			}
		}
		if !strings.Contains(notices[0], "connection refused") {
			t.Errorf("notices %q", notices)
		}
	})
}

func TestWatchStopsWhereComingBackIsUseless(t *testing.T) {
	html := func(_ *http.Request, body *io.PipeWriter) *http.Response {
		body.Close()
		return answer(200, "text/html")
	}
	for want, a := range map[string]func(*http.Request, *io.PipeWriter) *http.Response{
		"no such page": withStatus(404), "private": withStatus(401), "403 Forbidden": withStatus(403),
		"204": withStatus(204), "not an event stream": html,
	} {
		synctest.Test(t, func(t *testing.T) {
			_, _, s, err := watch(t, time.Hour, true, a)
			if err == nil || !strings.Contains(err.Error(), want) || len(s.asked) != 1 {
				t.Errorf("%v after %d attempts, want %q after one", err, len(s.asked), want)
			}
		})
	}
	for _, a := range []func(*http.Request, *io.PipeWriter) *http.Response{withStatus(503), withStatus(429), withStatus(502)} {
		synctest.Test(t, func(t *testing.T) {
			if _, _, s, err := watch(t, time.Hour, true, a); err != nil || len(s.asked) != 2 {
				t.Errorf("%v after %d attempts", err, len(s.asked))
			}
		})
	}
}

// A connection that has silently died is noticed by the pings that do not
// come.
func TestWatchNoticesSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, notices, s, err := watch(t, 10*time.Minute, true,
			stream("event: init_event\ndata: {\"ping_interval\":10}\n\n", true))
		if err != nil || len(s.asked) != 2 {
			t.Fatalf("%v, %d attempts", err, len(s.asked))
		}
		if s.asked[1] < 25*time.Second || s.asked[1] > 27*time.Second {
			t.Errorf("came back after %v", s.asked[1])
		}
		if !strings.Contains(notices[1], "not even a ping") {
			t.Errorf("notices %q", notices)
		}
	})
	// The operators' log has no pings, and may be quiet for hours.
	synctest.Test(t, func(t *testing.T) {
		if _, _, s, err := watch(t, 10*time.Hour, false, stream("data: 1\n\n", true)); err != nil || len(s.asked) != 1 {
			t.Errorf("%v, %d attempts", err, len(s.asked))
		}
	})
}

// Events larger than the client's default buffer arrive.
func TestWatchTakesLargeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events, _, _, err := watch(t, time.Second, true, stream("data: "+strings.Repeat("x", 1<<20)+"\n\n", true))
		if err != nil || len(events) != 1 || len(events[0].Data) != 1<<20 {
			t.Errorf("%d events, %v", len(events), err)
		}
	})
}

func TestWatchEndsWhenNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken pipe")
		w := watcher{
			transport: &script{t: t, start: time.Now(), answers: []func(*http.Request, *io.PipeWriter) *http.Response{stream("data: 1\n\n", true)}},
			url:       "http://test/", event: func(event) error { return broken }, notice: func(string, ...any) {},
		}
		if err := w.run(t.Context()); err != broken {
			t.Errorf("got %v", err)
		}
	})
}

func TestWatchAddress(t *testing.T) {
	for _, c := range []struct {
		cmd  watchCmd
		want string
	}{
		{watchCmd{URL: "http://localhost:8080/demo"}, "http://localhost:8080/demo/live/v2/status_page"},
		{watchCmd{URL: "http://localhost:8080/demo/"}, "http://localhost:8080/demo/live/v2/status_page"},
		{watchCmd{URL: "https://status.acme.com"}, "https://status.acme.com/live/v2/status_page"},
		{watchCmd{URL: "https://a.com/x/live/v2/component/api?bt=t"}, "https://a.com/x/live/v2/component/api?bt=t"},
		{watchCmd{Ops: true}, "http://127.0.0.1:9090/tail"},
		{watchCmd{Ops: true, URL: "http://10.0.0.1:9090/tail"}, "http://10.0.0.1:9090/tail"},
		{watchCmd{}, ""}, {watchCmd{URL: "demo"}, ""}, {watchCmd{URL: "unix:/x"}, ""}, {watchCmd{URL: "http://"}, ""},
	} {
		got, err := c.cmd.stream()
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%+v: %q, %v; want %q", c.cmd, got, err, c.want)
		}
		if err != nil && !errors.As(err, new(usageError)) {
			t.Errorf("%+v: %v is no usage error", c.cmd, err)
		}
	}
}
