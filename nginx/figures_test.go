package nginx

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"statustail/nginx/crowd"
	"statustail/stream/hund/hundtest"
)

// idle opens n streams and returns by how much nginx and statustail grew, in
// bytes for each. A few come before and stay: what the first ones cost, all
// at once, is no matter of how many there are.
func idle(t testing.TB, s *server, p *proxy, n int) (front, back float64) {
	t.Helper()
	gather(t, p, 500)
	workers := p.workers(t)
	frontBefore, backBefore := resident(t, workers...), resident(t, s.PID())
	gather(t, p, n)
	front = float64(resident(t, workers...)-frontBefore) / float64(n)
	back = float64(resident(t, s.PID())-backBefore) / float64(n)
	return front, back
}

// gather opens n streams and waits until each has its first event.
func gather(t testing.TB, p *proxy, n int) *crowd.Crowd {
	t.Helper()
	c, err := crowd.Start(crowd.Config{Addr: p.addr, Path: "/demo/live/v2/status_page", N: n, Sources: 200})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Wait(time.Minute, func(r crowd.Report) bool { return r.Open == n && r.Events >= n }); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFigures(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("STATUSTAIL_FIGURES"))
	if err != nil {
		t.Skip("measures, with STATUSTAIL_FIGURES=9000")
	}
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket)})
	front, back := idle(t, s, p, n)
	t.Logf("idle, bytes a subscriber: nginx %.0f, statustail %.0f", front, back)

	const events = 20
	c := gather(t, p, 500)
	workers, before := p.workers(t), c.Report().Events
	frontBefore, backBefore := cpu(t, workers...), cpu(t, s.PID())
	for i := range events {
		s.CLI("publish", "--page", "demo", "--name", "tick", "--data", strconv.Itoa(i))
	}
	if err := c.Wait(time.Minute, func(r crowd.Report) bool { return r.Events >= before+500*events }); err != nil {
		t.Fatal(err)
	}
	deliveries := float64(events * (n + 1000))
	t.Logf("processor, µs a delivery: nginx %.1f, statustail %.1f (with the embedded database)",
		1e6*(cpu(t, workers...)-frontBefore)/deliveries, 1e6*(cpu(t, s.PID())-backBefore)/deliveries)
}

// An hour's worth of pings, shortened to a minute: nobody is closed.
func TestHourOfPings(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("STATUSTAIL_FIGURES"))
	if err != nil {
		t.Skip("takes a minute, with STATUSTAIL_FIGURES=9000")
	}
	s := startServer(t, "--ping", "1s")
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket), faster: minute})
	c := gather(t, p, n)
	if err := c.Wait(3*time.Minute, func(r crowd.Report) bool { return r.Events >= 61*n }); err != nil {
		t.Fatal(err)
	}
	if r := c.Report(); r.Closed+r.Refused > 0 || r.Open != n {
		t.Errorf("open %d, closed %d, refused %d", r.Open, r.Closed, r.Refused)
	}
}

// What the shipped file saves, against nginx's own sizes.
func TestFiguresUntuned(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("STATUSTAIL_FIGURES"))
	if err != nil {
		t.Skip("measures, with STATUSTAIL_FIGURES=9000")
	}
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket), edits: []string{
		"request_pool_size 5104;", "",
		"proxy_pass_request_headers off;", "",
		"proxy_buffer_size       1k;", "",
		"proxy_buffers           8 1k;", "",
		"proxy_busy_buffers_size 2k;", "",
		"chunked_transfer_encoding off;", "",
	}})
	front, _ := idle(t, s, p, n)
	t.Logf("idle, with nginx's own sizes, bytes a subscriber: nginx %.0f", front)
}

// What an idle subscriber costs nginx with TLS, each on a connection of its
// own: HTTP/2 saves nothing but to a browser with several streams.
func TestFiguresTLS(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("STATUSTAIL_FIGURES"))
	if err != nil {
		t.Skip("measures, with STATUSTAIL_FIGURES=9000")
	}
	n = min(n, 4000) // the clients' side of TLS is in this process, and large
	s := startServer(t)
	measure := func(what, protocol string, addr func(*proxy) string, edits ...string) {
		p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket), edits: edits})
		gatherTLS(t, addr(p), 200, protocol)
		workers := p.workers(t)
		before := resident(t, workers...)
		leave := gatherTLS(t, addr(p), n, protocol)
		t.Logf("idle, with TLS, %s, bytes a subscriber: nginx %.0f", what, float64(resident(t, workers...)-before)/float64(n))
		leave()
	}
	shipped := func(p *proxy) string { return p.tls }
	streams := func(p *proxy) string { return p.streams }
	measure("HTTP/2", "HTTP/2.0", shipped)
	measure("HTTP/1.1", "HTTP/1.1", shipped)
	measure("streams-only.conf", "HTTP/1.1", streams)
	measure("streams-only.conf without a session cache", "HTTP/1.1", streams, "ssl_session_cache   shared:sessions:20m;", "ssl_session_cache off;")
}

// gatherTLS opens n streams, each on a connection of its own, and waits until
// each has its first event. They stay until leave is called.
func gatherTLS(t testing.TB, addr string, n int, protocol string) (leave func()) {
	t.Helper()
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(crowd.BrowserHeader + "\r\n"))).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	header.Del("Connection")
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	subscribe := func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+live, nil)
		if err != nil {
			return err
		}
		req.Header = http.Header(header).Clone()
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: &http.Protocols{}}
		transport.Protocols.SetHTTP1(protocol == "HTTP/1.1")
		transport.Protocols.SetHTTP2(protocol == "HTTP/2.0")
		res, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		if res.Proto != protocol || res.StatusCode != http.StatusOK {
			return fmt.Errorf("got %s %s", res.Proto, res.Status)
		}
		for e := range hundtest.Events(res.Body) {
			if e.Name == "init_event" {
				return nil // the stream stays, unread
			}
		}
		return errors.New("the stream ended before its first event")
	}
	var all sync.WaitGroup
	some := make(chan struct{}, 20)
	for range n {
		all.Go(func() {
			some <- struct{}{}
			defer func() { <-some }()
			if err := subscribe(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return cancel
}
