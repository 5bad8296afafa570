package fanout

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"statustail/stream/change"
)

// A kind is one way for a subscriber to be connected. The contract is the
// same for all.
type kind struct {
	name string
	raw  bool
	http2,
	unix,
	tls,
	gin bool
	portable bool
	wrapped  bool // the listener's connections hide their descriptors
}

var kinds = []kind{
	{name: "portable", portable: true},
	{name: "portable_unix", portable: true, unix: true},
	{name: "portable_gin", portable: true, gin: true},
	{name: "tls", tls: true},
	{name: "http2", tls: true, http2: true},
	{name: "wrapped", wrapped: true},
	{name: "raw", raw: true},
	{name: "raw_unix", raw: true, unix: true},
	{name: "raw_gin", raw: true, gin: true},
}

func TestMain(m *testing.M) {
	// The kinds of a test run side by side; mostly they wait.
	if err := flag.Set("test.parallel", strconv.Itoa(len(kinds))); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func eachKind(t *testing.T, cfg Config, f func(t *testing.T, e *env)) {
	for _, k := range kinds {
		if k.raw && !rawSupported {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			f(t, newEnv(t, k, cfg))
		})
	}
}

// env is a hub behind a real server.
type env struct {
	*Hub
	kind
	t      *testing.T
	server *httptest.Server
	dial   func() (net.Conn, error)
	header http.Header // set by the handler before it serves
	shown  *Channel    // what is served
}

func newEnv(t *testing.T, k kind, cfg Config) *env {
	t.Helper()
	cfg.Portable = k.portable
	if cfg.Ping == 0 {
		cfg.Ping = 10000 * time.Hour // none
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	e := &env{Hub: New(cfg), kind: k, t: t, header: http.Header{}}
	handle := func(w http.ResponseWriter, r *http.Request) {
		for name, values := range e.header {
			w.Header()[name] = values
		}
		q := Request{
			Channel: e.shown, Page: r.URL.Query().Get("page"),
			Client: r.URL.Query().Get("client"), LastEventID: r.Header.Get("Last-Event-ID"),
		}
		e.Serve(w, r, q)
	}
	var handler http.Handler = http.HandlerFunc(handle)
	if k.gin {
		gin.SetMode(gin.ReleaseMode)
		g := gin.New()
		g.Use(gin.Recovery())
		g.Any("/", func(c *gin.Context) { handle(c.Writer, c.Request) })
		handler = g
	}
	e.server = httptest.NewUnstartedServer(handler)
	if k.unix {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		e.server.Listener.Close()
		e.server.Listener = l
		e.dial = func() (net.Conn, error) { return net.Dial("unix", path) }
	} else {
		addr := e.server.Listener.Addr().String()
		e.dial = func() (net.Conn, error) { return net.Dial("tcp", addr) }
	}
	e.server.Listener = e.Listener(e.server.Listener)
	if k.wrapped {
		e.server.Listener = wrapper{e.server.Listener}
	}
	e.server.EnableHTTP2 = k.http2
	if k.tls {
		e.server.StartTLS()
		plain := e.dial
		e.dial = func() (net.Conn, error) {
			c, err := plain()
			if err != nil {
				return nil, err
			}
			protos := []string{"http/1.1"}
			if k.http2 {
				protos = []string{"h2"}
			}
			return tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: protos}), nil
		}
	} else {
		e.server.Start()
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := e.Drain(ctx, 0); err != nil {
			t.Error(err)
		}
		e.server.CloseClientConnections()
		e.server.Close()
	})
	return e
}

type wrapper struct{ net.Listener }

func (w wrapper) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	return struct{ net.Conn }{c}, err
}

// client is one connection and the events read from it.
type client struct {
	t    *testing.T
	conn net.Conn
	resp *http.Response
	in   *bufio.Reader
	stop func()
}

type event struct {
	name, data, id, retry string
}

// connect sends the request and reads the response's head.
func (e *env) connect(query, lastID string) *client {
	e.t.Helper()
	c, err := e.tryConnect(query, lastID)
	if err != nil {
		e.t.Fatal(err)
	}
	return c
}

func (e *env) tryConnect(query, lastID string) (*client, error) {
	req, err := http.NewRequest(http.MethodGet, "http://test/?"+query, nil)
	if err != nil {
		return nil, err
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	return e.send(req)
}

func (e *env) send(req *http.Request) (*client, error) {
	conn, err := e.dial()
	if err != nil {
		return nil, err
	}
	c := &client{t: e.t, conn: conn}
	if e.http2 {
		transport := &http.Transport{
			ForceAttemptHTTP2: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
				return conn, conn.(*tls.Conn).Handshake()
			},
		}
		ctx, cancel := context.WithCancel(context.Background())
		req = req.WithContext(ctx)
		req.URL.Scheme = "https"
		if c.resp, err = transport.RoundTrip(req); err != nil {
			cancel()
			return nil, err
		}
		c.stop = func() { cancel(); transport.CloseIdleConnections(); conn.Close() }
	} else {
		if err := req.Write(conn); err != nil {
			return nil, err
		}
		if c.resp, err = http.ReadResponse(bufio.NewReader(conn), req); err != nil {
			conn.Close()
			return nil, err
		}
		c.stop = func() { conn.Close() }
	}
	e.t.Cleanup(c.close)
	c.in = bufio.NewReader(c.resp.Body)
	return c, nil
}

func (c *client) close() { c.stop() }

// next reads one event, skipping nothing. A retry: counts as one, as soon as
// its line has come, which is when clients take it.
func (c *client) next() (event, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	var e event
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			return e, nil
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "id":
			e.id = value
		case "retry":
			if e != (event{}) {
				return e, fmt.Errorf("a retry: inside the event %q", e.name)
			}
			return event{retry: value}, nil
		default:
			return e, fmt.Errorf("unknown line %.80q", line)
		}
	}
}

// want reads the next event and compares what is given as "name data".
func (c *client) want(s string) event {
	c.t.Helper()
	e, err := c.next()
	if err != nil {
		c.t.Fatalf("want %.60q: %v", s, err)
	}
	got := strings.TrimSpace(e.name + " " + e.data)
	if e.retry != "" {
		got = "retry"
	}
	if got != s {
		c.t.Fatalf("got %.80q, want %.80q", got, s)
	}
	return e
}

// wantEnd reads what is left and fails unless the stream then ends.
func (c *client) wantEnd() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, c.in); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		c.t.Fatalf("the stream has not ended: %v", err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// eventually waits for something that only the server knows.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(20 * time.Second)
	for !f() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// value is what a counter or gauge says.
func value(m prometheus.Metric) float64 {
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		panic(err)
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}

// show opens the channel that is served from now on, of a page of which
// everything from the first second on is here.
func (e *env) show(s *counter, reached change.Position) *Channel {
	if e.shown == nil {
		e.Begin(at(0))
		e.Reached(reached)
	}
	e.shown = e.Open("p", s, true)
	return e.shown
}

// say passes on a message of the page.
func (h *Hub) say(at change.Position, key, data string) {
	h.Message(change.Message{Page: "p", Name: "m", Key: key, At: at}, frame("m", data))
}

// state publishes frames that are no messages.
func (c *Channel) state(data ...string) { c.Publish(change.Publication{Frames: frames(data...)}) }

// counter is a source that shows a number.
type counter struct {
	n   atomic.Int64
	pad string
}

var words = [...]string{change.Fresh: "fresh", change.Recovered: "true", change.Unrecovered: "false"}

func (s *counter) Snapshot(_ time.Time, r change.Recovery) [][]byte {
	return [][]byte{fmt.Appendf(nil, "event: init\ndata: %d %s", s.n.Load(), words[r]), []byte(s.pad), []byte("\n\n")}
}

func (s *counter) Ping(time.Time) []byte { return frame("ping", "x") }

func (s *counter) Dropped(n int) []byte { return frame("dropped", strconv.Itoa(n)) }

func frame(name, data string) []byte {
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, data)
}

func frames(s ...string) [][]byte {
	var f [][]byte
	for _, s := range s {
		f = append(f, frame("m", s))
	}
	return f
}

// at is a position s seconds into the test's time.
func at(s uint32) change.Position { return change.NewPosition(1000+s, 1) }

// id is of a reader that has n messages at a position.
func id(at change.Position, n uint32) string { return change.EventID{At: at, Passed: n}.String() }

func source(n int64) *counter {
	s := new(counter)
	s.n.Store(n)
	return s
}

func TestOpening(t *testing.T) {
	eachKind(t, Config{RetryMin: 1234 * time.Millisecond, RetryMax: 1235 * time.Millisecond}, func(t *testing.T, e *env) {
		c := e.show(source(0), at(5))
		e.header.Set("Access-Control-Allow-Origin", "https://example.com")
		cl := e.connect("", "")
		h := cl.resp.Header
		for name, want := range map[string]string{
			"Content-Type":                "text/event-stream",
			"Cache-Control":               "no-cache, no-store, no-transform",
			"X-Accel-Buffering":           "no",
			"Access-Control-Allow-Origin": "https://example.com",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		if cl.resp.StatusCode != 200 || h.Get("Date") == "" || h.Get("Content-Length") != "" {
			t.Errorf("got %v %v", cl.resp.Status, h)
		}
		if r := cl.want("retry"); r.retry != "1234" {
			t.Errorf("got retry %q", r.retry)
		}
		if ev := cl.want("init 0 fresh"); ev.id != at(5).String() {
			t.Errorf("got id %q", ev.id)
		}
		c.state("a", "b")
		for _, w := range []string{"m a", "m b"} {
			if ev := cl.want(w); ev.id != "" {
				t.Errorf("state has the id %q", ev.id)
			}
		}
		e.say(at(6), "", "c")
		e.say(at(6), "", "d")
		for n, w := range []string{"m c", "m d"} {
			if ev := cl.want(w); ev.id != id(at(6), uint32(n+1)) {
				t.Errorf("%s has the id %q", w, ev.id)
			}
		}

		e.header.Set("Cache-Control", "no-store")
		if got := e.connect("", "").resp.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("the caller's Cache-Control became %q", got)
		}
		if n := c.Subscribers(); n != 2 {
			t.Errorf("got %d subscribers, want 2", n)
		}
		wantRaw := 0.0
		if e.raw {
			wantRaw = 2
		}
		if got := value(e.metrics.raw); got != wantRaw {
			t.Errorf("%v raw subscribers, want %v", got, wantRaw)
		}
	})
}

func TestHeadHasNoBody(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.show(source(0), at(1))
		req, _ := http.NewRequest(http.MethodHead, "http://test/", nil)
		cl, err := e.send(req)
		if err != nil {
			t.Fatal(err)
		}
		if ct := cl.resp.Header.Get("Content-Type"); cl.resp.StatusCode != 200 || ct != "text/event-stream" {
			t.Errorf("got %v, %q", cl.resp.Status, ct)
		}
	})
}

func TestOrder(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		c := e.show(source(0), at(1))
		clients := e.join(5)
		go func() {
			for i := range 1000 {
				c.state(strconv.Itoa(i))
			}
		}()
		for _, cl := range clients {
			for i := range 1000 {
				cl.want("m " + strconv.Itoa(i))
			}
		}
	})
}

// Whoever subscribes while events are published sees a snapshot and exactly
// what followed it.
func TestSnapshotIsAtomic(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		c := e.show(source(0), at(1))
		published := 0
		for range 20 {
			first := published
			published += 100
			go func() {
				for i := first + 1; i <= first+100; i++ {
					c.Publish(change.Publication{Source: source(int64(i)), Frames: frames(strconv.Itoa(i))})
				}
			}()
			cl := e.connect("", "")
			cl.want("retry")
			ev, err := cl.next()
			if err != nil {
				t.Fatal(err)
			}
			var n int
			if _, err := fmt.Sscanf(ev.data, "%d fresh", &n); err != nil || ev.name != "init" {
				t.Fatal(ev, err)
			}
			for n++; n <= published; n++ {
				cl.want("m " + strconv.Itoa(n))
			}
			cl.close()
		}
	})
}

func TestPing(t *testing.T) {
	const every = 300 * time.Millisecond
	eachKind(t, Config{Ping: every}, func(t *testing.T, e *env) {
		e.show(source(0), at(7))
		begun := time.Now()
		cl := e.connect("", "")
		cl.want("retry")
		cl.want("init 0 fresh")
		if ev := cl.want("ping x"); ev.id != at(7).String() {
			t.Errorf("got id %q", ev.id)
		}
		e.Reached(at(8))
		pings := 1
		for settled := false; !settled; pings++ { // one may be under way
			settled = cl.want("ping x").id == at(8).String()
		}
		if d := time.Since(begun); d < time.Duration(pings-1)*every/2 {
			t.Errorf("%d pings within %v, want one each %v", pings, d, every)
		}
	})
}

// join connects n fresh clients, past their first snapshot.
func (e *env) join(n int) (clients []*client) {
	e.t.Helper()
	for range n {
		cl := e.connect("", "")
		cl.want("retry")
		cl.want("init 0 fresh")
		clients = append(clients, cl)
	}
	return clients
}

// stall opens a connection that reads the head and nothing after it.
func (e *env) stall() *client {
	e.t.Helper()
	conn, err := e.dial()
	if err != nil {
		e.t.Fatal(err)
	}
	dial := e.dial
	e.dial = func() (net.Conn, error) { return conn, nil }
	defer func() { e.dial = dial }()
	return e.connect("", "")
}

// A reader that takes nothing is closed.
func TestStuckReaderIsClosed(t *testing.T) {
	eachKind(t, Config{Stuck: 200 * time.Millisecond}, func(t *testing.T, e *env) {
		s := source(0)
		s.pad = strings.Repeat("-", 16<<20) // more than any buffer between
		c := e.show(s, at(1))
		e.stall()
		eventually(t, "the stuck reader is closed", func() bool { return c.Subscribers() == 0 })
		eventually(t, "it is counted", func() bool {
			return value(e.metrics.evictions.WithLabelValues("stuck")) == 1
		})
	})
}

// So is one that takes a little all the time.
func TestDrippingReaderIsClosed(t *testing.T) {
	eachKind(t, Config{Stuck: 300 * time.Millisecond}, func(t *testing.T, e *env) {
		s := source(0)
		s.pad = strings.Repeat("-", 16<<20)
		c := e.show(s, at(1))
		slow := e.stall()
		drip := time.NewTicker(10 * time.Millisecond)
		defer drip.Stop()
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-drip.C:
					_, _ = slow.in.Read(make([]byte, 256))
				}
			}
		}()
		eventually(t, "it is closed", func() bool { return c.Subscribers() == 0 })
		close(stop)
		slow.close()
		<-stopped
	})
}

func TestHangUp(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		c := e.show(source(0), at(1))
		for i := range 20 {
			cl := e.connect("", "")
			if i%2 == 0 {
				cl.want("retry")
			}
			if tc, ok := cl.conn.(*net.TCPConn); ok && i%4 == 0 {
				_ = tc.SetLinger(0) // a reset
			}
			if hc, ok := cl.conn.(interface{ CloseWrite() error }); ok && !e.http2 && i%3 == 0 {
				_ = hc.CloseWrite() // half closed is gone
				cl.wantEnd()
				continue
			}
			cl.close()
		}
		eventually(t, "all have left", func() bool { return c.Subscribers() == 0 && e.limits.none() })
	})
}

func TestNoise(t *testing.T) {
	eachKind(t, Config{Ping: 200 * time.Millisecond}, func(t *testing.T, e *env) {
		if e.http2 {
			t.Skip("nothing can follow a request")
		}
		c := e.show(source(0), at(1))
		noisy := e.connect("", "")
		noisy.want("retry")
		noisy.want("init 0 fresh")
		if _, err := noisy.conn.Write([]byte("hello?")); err != nil {
			t.Fatal(err)
		}
		c.state("a")
		for ev := (event{}); ev.data != "a"; {
			var err error
			if ev, err = noisy.next(); err != nil {
				t.Fatalf("a few bytes must not matter: %v", err)
			}
		}
		if e.raw {
			go func() {
				for {
					if _, err := noisy.conn.Write(make([]byte, 4096)); err != nil {
						return
					}
				}
			}()
			noisy.wantEnd()
			eventually(t, "it is counted", func() bool {
				return value(e.metrics.evictions.WithLabelValues("noise")) == 1
			})
		}
		noisy.close()
		eventually(t, "it has left", func() bool { return c.Subscribers() == 0 })
	})
}

func TestLimitsPark(t *testing.T) {
	cfg := Config{MaxSubscribers: 3, MaxPerPage: 2, MaxPerClient: 1, MaxParked: 2, ParkMin: 400 * time.Millisecond, ParkMax: 800 * time.Millisecond}
	eachKind(t, cfg, func(t *testing.T, e *env) {
		c := e.show(source(0), at(1))
		first := e.connect("page=p&client=1", "")
		first.want("retry")
		e.connect("page=p&client=2", "")
		refused := func(reason string, want float64) {
			t.Helper()
			if got := value(e.metrics.refusals.WithLabelValues(reason)); got != want {
				t.Errorf("%v refused for %s, want %v", got, reason, want)
			}
		}
		parked := e.connect("page=p&client=3", "")
		refused("page", 1)
		if parked.resp.StatusCode != 200 || parked.resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("parked with %v", parked.resp.Status)
		}
		begun := time.Now()
		if r, _ := strconv.Atoi(parked.want("retry").retry); r < 400 || r >= 800 {
			t.Errorf("parked with retry %d", r)
		}
		second := e.connect("page=q&client=1", "")
		refused("client", 1)
		if cl, err := e.tryConnect("page=q&client=1", ""); err == nil {
			t.Errorf("too many parked: got %v", cl.resp.Status)
		}
		refused("parked", 1)
		c.state("a")
		parked.wantEnd()
		if d := time.Since(begun); d < 300*time.Millisecond {
			t.Errorf("parked for %v only", d)
		}
		second.close()
		eventually(t, "nobody is parked", func() bool { return e.parked.Load() == 0 })
		e.connect("page=q&client=4", "")
		refused("total", 0)
		third := e.connect("page=q&client=5", "")
		refused("total", 1)
		first.want("init 0 fresh")
		first.want("m a")
		third.close()
		eventually(t, "nobody is parked", func() bool { return e.parked.Load() == 0 })

		first.close()
		eventually(t, "it has left", func() bool { return c.Subscribers() == 2 })
		again := e.connect("page=p&client=1", "")
		again.want("retry")
		again.want("init 0 fresh")
		if got := value(e.metrics.parked); got != 0 {
			t.Errorf("%v parked, says the metric", got)
		}
	})
}

func TestCloseChannel(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		c := e.show(source(0), at(1))
		cl := e.connect("", "")
		cl.want("retry")
		cl.want("init 0 fresh")
		c.state("last")
		c.Close()
		c.Close()
		c.state("too late")
		e.say(at(2), "", "later still")
		cl.want("m last")
		if ev, err := cl.next(); err == nil || isTimeout(err) {
			t.Errorf("got %v, %v after the end", ev, err)
		}
		// A closed channel says when to come back, and no more.
		cl = e.connect("", "")
		cl.want("retry")
		cl.wantEnd()
		e.show(source(7), at(1))
		cl = e.connect("", id(at(1), 0))
		cl.want("retry")
		cl.want("init 7 true")
		cl.want("m later still")
		eventually(t, "all have left", func() bool { return c.Subscribers() == 0 })
	})
}

func TestDrain(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.show(source(0), at(1))
		const n = 20
		clients := e.join(n)
		begun := time.Now()
		ended := make(chan time.Duration, n)
		for _, cl := range clients {
			go func() {
				ev, err := cl.next()
				if err != nil || ev.retry == "" {
					t.Errorf("got %v, %v, want a retry:", ev, err)
				}
				cl.wantEnd()
				ended <- time.Since(begun)
			}()
		}
		const over = 2 * time.Second
		if err := e.Drain(context.Background(), over); err != nil {
			t.Fatal(err)
		}
		early := 0
		for range n {
			if <-ended < over/2 {
				early++
			}
		}
		if early == 0 || early == n {
			t.Errorf("%d of %d ended in the first half", early, n)
		}
		if cl, err := e.tryConnect("", ""); err == nil {
			t.Errorf("after draining: got %v", cl.resp.Status)
		}
	})
}

// However little time there is, everybody is told when to come back.
func TestDrainInNoTime(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.show(source(0), at(1))
		clients := e.join(20)
		if err := e.Drain(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
		for _, cl := range clients {
			cl.want("retry")
			cl.wantEnd()
		}
	})
}

// Nobody who has stalled holds up the end.
func TestDrainStalled(t *testing.T) {
	eachKind(t, Config{Stuck: time.Hour}, func(t *testing.T, e *env) {
		c := e.show(source(0), at(1))
		e.stall()
		for range 20 {
			c.state(strings.Repeat("-", 1<<20))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.Drain(ctx, 10*time.Millisecond); err != nil {
			t.Error(err)
		}
		if n := c.Subscribers(); n != 0 {
			t.Errorf("%d are still here", n)
		}
	})
}

// Old clients, and those that say more than they should before they listen.
func TestOldAndHastyClients(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		if e.http2 {
			t.Skip("neither is possible")
		}
		e.show(source(0), at(1))
		for _, request := range []string{
			"GET / HTTP/1.0\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /again HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
		} {
			conn, err := e.dial()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%.14q: %v", request, err)
			}
			cl := &client{t: t, conn: conn, resp: resp, in: bufio.NewReader(resp.Body)}
			cl.want("retry")
			cl.want("init 0 fresh")
			conn.Close()
		}
	})
}

func TestDrainAtOnce(t *testing.T) {
	eachKind(t, Config{}, func(t *testing.T, e *env) {
		e.show(source(0), at(1))
		cl := e.connect("", "")
		cl.want("retry")
		cl.want("init 0 fresh")
		ctx, second := context.WithCancel(context.Background())
		result := make(chan error)
		go func() { result <- e.Drain(ctx, time.Hour) }()
		<-e.draining
		late := e.connect("", "")
		late.want("retry")
		second()
		<-result // nil if it was quick
		cl.wantEnd()
		late.wantEnd()
	})
}
