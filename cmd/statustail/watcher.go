package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/r3labs/sse/v2"
)

const (
	// maxEvent is the largest event taken, in bytes: the whole state of a
	// large page.
	maxEvent = 8 << 20
	// maxBackoff bounds the wait between attempts that fail.
	maxBackoff = 30 * time.Second
	// defaultPing is how often a server pings unless it says otherwise.
	defaultPing = 60 * time.Second
)

// An event as it came.
type event struct {
	At   time.Time
	ID   string
	Name string
	Data []byte
}

// A watcher follows one stream for as long as that makes sense. It goes on
// where it was after every interruption, which r3labs's client by itself does
// not: that one ends with the stream, never forgets a failure, and takes no
// notice of retry.
type watcher struct {
	url    string
	pinged bool // the server pings this stream, so silence means it is gone
	event  func(event) error
	notice func(format string, args ...any)
	// transport makes the requests; nil is one of our own.
	transport http.RoundTripper
}

// A permanentError is an answer that coming back will not change.
type permanentError struct{ error }

// run returns when ctx is done, when the output fails, or with the error that
// no further attempt would mend.
func (w *watcher) run(ctx context.Context) error {
	client := sse.NewClient(w.url, sse.ClientMaxBufferSize(maxEvent))
	if w.transport == nil {
		w.transport = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			ResponseHeaderTimeout: 30 * time.Second,
			ForceAttemptHTTP2:     true,
		}
	}
	client.Connection = &http.Client{Transport: w.transport}
	defer client.Connection.CloseIdleConnections()
	client.ReconnectStrategy = once{}

	failures := 0
	var retry time.Duration // as the server last asked
	for {
		events := 0
		err := w.connect(ctx, client, func(asked time.Duration) { retry = asked }, &events)
		if ctx.Err() != nil {
			return nil
		}
		var permanent permanentError
		if errors.As(err, &permanent) {
			return permanent.error
		}
		if events > 0 {
			failures = 0
		}
		// Full jitter, so that many watchers do not return in step.
		wait := rand.N(min(maxBackoff, time.Second<<min(failures, 10)))
		failures++
		wait = max(wait, retry)
		reason := "the stream ended"
		if err != nil {
			reason = err.Error()
		}
		w.notice("%s; trying again in %s", reason, wait.Round(100*time.Millisecond))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// connect follows the stream until it ends, for whatever reason.
func (w *watcher) connect(parent context.Context, client *sse.Client, asked func(time.Duration), events *int) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)

	ping := defaultPing
	silence := func() time.Duration { return ping * 5 / 2 }
	watchdog := time.AfterFunc(silence(), func() {
		if w.pinged {
			cancel(errors.New("nothing was heard, not even a ping"))
		}
	})
	defer watchdog.Stop()

	// Written by the client's goroutines, hence one atomic value.
	var refusal atomic.Pointer[permanentError]
	client.ResponseValidator = func(_ *sse.Client, resp *http.Response) error {
		err := checkResponse(resp)
		if err == nil {
			w.notice("watching %s", w.url)
			return nil
		}
		resp.Body.Close()
		var permanent permanentError
		if errors.As(err, &permanent) {
			refusal.Store(&permanent)
		}
		return err
	}
	err := client.SubscribeRawWithContext(ctx, func(msg *sse.Event) {
		if ms, err := strconv.ParseUint(string(msg.Retry), 10, 31); err == nil {
			asked(time.Duration(ms) * time.Millisecond)
		}
		if len(msg.Data) == 0 || ctx.Err() != nil {
			return
		}
		*events++
		e := event{At: time.Now(), ID: string(msg.ID), Name: string(msg.Event), Data: msg.Data}
		if e.Name == "" {
			e.Name = "message"
		}
		if e.Name == "init_event" {
			ping = pingInterval(e.Data)
		}
		watchdog.Reset(silence())
		if err := w.event(e); err != nil {
			cancel(permanentError{err}) // nobody reads what we print
		}
	})
	if cause := context.Cause(ctx); cause != nil && parent.Err() == nil {
		return cause
	}
	if p := refusal.Load(); p != nil {
		return *p
	}
	return err
}

// checkResponse tells what is worth coming back for from what is not.
func checkResponse(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return fmt.Errorf("the server answers %s", resp.Status)
	case code == http.StatusNotFound:
		return permanentError{errors.New("there is no such page or component (404)")}
	case code == http.StatusUnauthorized:
		return permanentError{errors.New("the page is private (401)")}
	default:
		return permanentError{fmt.Errorf("the server answers %s", resp.Status)}
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/event-stream" {
		return permanentError{fmt.Errorf("the answer is %q, not an event stream: is the address right?", resp.Header.Get("Content-Type"))}
	}
	return nil
}

// pingInterval is what an init_event says of it.
func pingInterval(data []byte) time.Duration {
	var init struct {
		PingInterval float64 `json:"ping_interval"`
	}
	if json.Unmarshal(data, &init) != nil || init.PingInterval < 1 || init.PingInterval > 3600 {
		return defaultPing
	}
	return time.Duration(init.PingInterval * float64(time.Second))
}

// once is a reconnect strategy that leaves reconnecting to us.
type once struct{}

func (once) NextBackOff() time.Duration { return -1 }
func (once) Reset()                     {}
