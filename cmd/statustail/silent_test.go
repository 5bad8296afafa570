package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"statustail/stream/api"
	"statustail/stream/fanout"
)

// A listener of connections in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A server with no stream open ends at once, whatever connections browsers
// hold open and however long a drain may take; it says what it waits for.
func TestEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		ops := &pipes{make(chan net.Conn), make(chan struct{})}
		s := &server{
			cfg: serveConfig{Drain: time.Hour}, log: slog.New(slog.NewTextHandler(&log, nil)),
			hub: fanout.New(fanout.Config{}), opsLog: api.NewOpsLog(), public: []net.Listener{l}, ops: []net.Listener{ops}, budget: budget{conns: 10},
		}
		failed := make(chan error, 1)
		servers := []*http.Server{s.servePublic(http.NotFoundHandler(), failed), s.serveHTTP(s.ops, http.NotFoundHandler(), failed)}
		ours, silent := net.Pipe()
		l.conns <- silent
		_, another := net.Pipe()
		ops.conns <- another
		synctest.Wait()
		begun := time.Now()
		s.shutdown(servers)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if _, err := ours.Read(make([]byte, 1)); err == nil {
			t.Error("the silent connection is still open")
		}
		if !strings.Contains(log.String(), "no stream is open") {
			t.Errorf("it says\n%s", &log)
		}
		if len(failed) > 0 {
			t.Error(<-failed)
		}
		ours.Close()
	})
}

// With a stream open it says how many there are, how long they may take, and
// how to end them at once.
func TestSaysWhatItWaitsFor(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, errs := &output{}, &output{}
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--embedded-listen", "127.0.0.1:0",
			"--data", t.TempDir(), "--drain", "50ms"}, out, errs, func(string) string { return "" })
	}()
	url := out.await(t, `listening\s+(\S+)`)
	out.await(t, `Change it`)
	res, err := http.Get(url + "/demo/live/v2/status_page")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	cancel()
	code := <-ended
	if code != exitOK || !strings.Contains(errs.String(), `a second signal ends all at once" streams=1 over=50ms`) {
		t.Errorf("status %d\n%s", code, errs)
	}
}
