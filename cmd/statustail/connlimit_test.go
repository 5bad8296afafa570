package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestShare(t *testing.T) {
	for _, test := range []struct {
		descriptors int
		cfg         serveConfig
		want        budget
	}{
		{0, serveConfig{MaxParked: 1024}, budget{0, 1024, 4096}},
		{20_000, serveConfig{MaxParked: 1024}, budget{17_696, 1024, 1024}},
		{700, serveConfig{MaxParked: 1024}, budget{210, 157, 158}},
		{1_000_000, serveConfig{MaxParked: 1024, MaxSubscribers: 100_000}, budget{100_000, 1024, 4096}},
		{1024, serveConfig{MaxSubscribers: 5000}, budget{5000, 0, 64}},
	} {
		got := share(test.descriptors, test.cfg)
		if got != test.want {
			t.Errorf("%d descriptors: %+v, want %+v", test.descriptors, got, test.want)
		}
		if test.descriptors > 0 && test.cfg.MaxSubscribers == 0 && got.subscribers+got.parked+got.conns > test.descriptors-min(256, test.descriptors/4) {
			t.Errorf("of %d descriptors too few are left: %+v", test.descriptors, got)
		}
	}
}

// Connections that say nothing wait for one another; one that is idle after a
// request makes room, and one that became a stream does not count.
func TestConnLimit(t *testing.T) {
	hijacked := make(chan net.Conn, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
			hijacked <- c
		}
	})}
	limit := newConnLimit(2, func() { srv.SetKeepAlivesEnabled(false); srv.SetKeepAlivesEnabled(true) })
	srv.ConnState = limit.state
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limit.listener(inner)
	go srv.Serve(l)
	defer srv.Close()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return c
	}
	ask := func(c net.Conn, path string) error {
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			return err
		}
		_, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err
	}
	// Streams do not count.
	for range 5 {
		if err := ask(dial(), "/stream"); err != nil {
			t.Fatal(err)
		}
		(<-hijacked).Close()
	}
	// Idle ones make room.
	for range 5 {
		if err := ask(dial(), "/"); err != nil {
			t.Fatal(err)
		}
	}
	// Silent ones have others wait until they go.
	silent := []net.Conn{dial(), dial(), dial()}
	answered := make(chan error, 1)
	late := dial()
	go func() { answered <- ask(late, "/") }()
	for _, c := range silent {
		c.Close()
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	// A listener that waits for a slot can be closed.
	for range 4 {
		dial()
	}
	_ = l.Close()
}
