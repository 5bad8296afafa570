package fanout

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var rawKind = kind{name: "raw", raw: true}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Whatever comes and goes, in any order, leaves nothing behind.
func TestChurnLeavesNothing(t *testing.T) {
	e := newEnv(t, rawKind, Config{MaxPerClient: 1000, MaxPerPage: 100000})
	c := e.show(source(0), at(1))
	round := func(n int) {
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), 1))
				var open []net.Conn
				for range n / 4 {
					conn, err := e.dial()
					if err != nil {
						t.Error(err)
						return
					}
					fmt.Fprintf(conn, "GET /?page=p&client=%d HTTP/1.1\r\nHost: x\r\n\r\n", w)
					open = append(open, conn)
					for len(open) > 0 && (len(open) > 100 || r.IntN(2) == 0) {
						k := r.IntN(len(open))
						if r.IntN(3) == 0 {
							_ = open[k].(*net.TCPConn).SetLinger(0)
						} else if r.IntN(2) == 0 {
							_, _ = open[k].Read(make([]byte, 64))
						}
						open[k].Close()
						open[k] = open[len(open)-1]
						open = open[:len(open)-1]
					}
				}
				for _, c := range open {
					c.Close()
				}
			})
		}
		for i := range 50 {
			c.state(strconv.Itoa(i))
		}
		wg.Wait()
		eventually(t, "all have left", func() bool { return c.Subscribers() == 0 && e.limits.none() })
	}
	round(400)
	// A connection that has been closed may not have been accepted yet.
	settled := func() (d, g int) {
		eventually(t, "the server has seen all", func() bool {
			d1, g1 := descriptors(t), runtime.NumGoroutine()
			runtime.Gosched()
			same := d1 == d && g1 == g
			d, g = d1, g1
			return same
		})
		return d, g
	}
	d0, g0 := settled()
	h0 := heapBytes()
	round(4000)
	eventually(t, "descriptors and goroutines are back", func() bool {
		return descriptors(t) <= d0 && runtime.NumGoroutine() <= g0
	})
	if h := heapBytes(); h > h0+512<<10 {
		t.Errorf("the heap grew from %d to %d bytes", h0, h)
	}
}

// A delivery makes no system call on a stalled subscriber.
func TestStalledCostNothing(t *testing.T) {
	e := newEnv(t, rawKind, Config{Stuck: time.Minute})
	c := e.show(source(0), at(1))
	good := e.join(10)
	const stalled = 5
	for range stalled {
		e.stall()
	}
	pad := strings.Repeat("-", 100<<10)
	publish := func(data string) {
		c.state(data)
		for _, cl := range good {
			cl.want("m " + data)
		}
	}
	for range 100 {
		publish(pad)
	}
	// Whatever the kernel's buffers can grow to has been filled by now; what
	// follows must be skipped for each that is stalled.
	const n = 50
	counted := func() (calls, skips float64) {
		// Counts are passed on at the end of a round: one ping for all.
		return value(e.metrics.writes), value(e.metrics.skips)
	}
	var calls, skips float64
	eventually(t, "counts stand still", func() bool {
		c1, s1 := counted()
		same := c1 == calls && s1 == skips
		calls, skips = c1, s1
		return same && s1 >= stalled
	})
	for i := range n {
		publish(strconv.Itoa(i))
	}
	eventually(t, "every delivery is counted", func() bool {
		c1, s1 := counted()
		return c1 == calls+n*10 && s1 == skips+n*stalled
	})
}

// Many pings in a short interval are spread over it.
func TestPingsAreSpread(t *testing.T) {
	const n = 60
	e := newEnv(t, rawKind, Config{Ping: 1200 * time.Millisecond})
	e.show(source(0), at(1))
	var clients []*client
	for range n {
		cl := e.connect("", "")
		cl.want("retry")
		cl.want("init 0 fresh")
		clients = append(clients, cl)
	}
	arrived := make(chan time.Time, n)
	for _, cl := range clients {
		go func() {
			for range 2 { // the first may have waited to be read
				if ev, err := cl.next(); err != nil || ev.name != "ping" {
					t.Errorf("got %v, %v", ev, err)
				}
			}
			arrived <- time.Now()
		}()
	}
	quarters := make([]int, 4)
	for range n {
		at := <-arrived
		quarters[at.UnixMilli()/300%4]++
	}
	for k, got := range quarters {
		if got > n*2/3 {
			t.Errorf("%d of %d pings in quarter %d", got, n, k)
		}
	}
}

// Out of descriptors, those who are here are served, those who come are
// counted, and when there are descriptors again so is everything else.
func TestOutOfDescriptors(t *testing.T) {
	e := newEnv(t, rawKind, Config{})
	c := e.show(source(0), at(1))
	cl := e.connect("", "")
	cl.want("retry")
	cl.want("init 0 fresh")

	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	limit := was
	limit.Cur = uint64(descriptors(t) + 6)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
	}
	defer restore()
	var waiting []net.Conn
	for {
		conn, err := e.dial()
		if err != nil {
			break
		}
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		waiting = append(waiting, conn)
	}
	if len(waiting) == 0 {
		t.Fatal("the limit is too low for this test")
	}
	eventually(t, "refusals are counted", func() bool {
		return value(e.metrics.refusals.WithLabelValues("descriptors")) > 0
	})
	c.state("a")
	cl.want("m a")
	restore()
	for _, conn := range waiting {
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Errorf("who waited was not served: %v", err)
		}
		conn.Close()
	}
	next := e.connect("", "")
	next.want("retry")
	next.want("init 0 fresh")
}

// A thousand events within a second: no reader that keeps up loses one, and
// several leave in one call when the shard is behind.
func TestBurst(t *testing.T) {
	e := newEnv(t, rawKind, Config{})
	c := e.show(source(0), at(1))
	const readers, n = 100, 1000
	var wg sync.WaitGroup
	for range readers {
		cl := e.connect("", "")
		wg.Go(func() {
			cl.want("retry")
			cl.want("init 0 fresh")
			for i := range n {
				cl.want("m " + strconv.Itoa(i))
			}
		})
	}
	for i := range n {
		c.state(strconv.Itoa(i))
	}
	wg.Wait()
	eventually(t, "all is counted", func() bool { return value(e.metrics.frames) == readers*(n+1) })
	if calls := value(e.metrics.writes); calls >= readers*n/2 {
		t.Errorf("%v writes for %d events", calls, readers*n)
	}
}

// Run it with GOARCH=386, too.
func TestShareDoesNotOverflow(t *testing.T) {
	for _, n := range []int{0, 3, 5000, 1 << 20} {
		if got := share(n, 1e6); got != n {
			t.Errorf("all of %d are %d", n, got)
		}
	}
}

func TestSlab(t *testing.T) {
	var s slab
	r := rand.New(rand.NewPCG(1, 2))
	here := map[int32]int32{}
	var numbers []int32
	for range 20000 {
		if len(numbers) > 0 && r.IntN(20) >= 11 || len(numbers) > 3000 {
			k := r.IntN(len(numbers))
			i := numbers[k]
			numbers[k] = numbers[len(numbers)-1]
			numbers = numbers[:len(numbers)-1]
			if u := s.at(i); u == nil || u.fd != here[i] {
				t.Fatalf("%d: got %v, want %d", i, u, here[i])
			}
			delete(here, i)
			s.remove(i)
			if s.at(i) != nil {
				t.Fatalf("%d is still there", i)
			}
			continue
		}
		fd := r.Int32N(1 << 20)
		i, u := s.add(sub{fd: fd})
		if _, taken := here[i]; taken || u != s.at(i) || i >= s.end() {
			t.Fatalf("added at %d", i)
		}
		here[i] = fd
		numbers = append(numbers, i)
	}
	if s.n != len(here) || int(s.end()) > len(here)+3000 {
		t.Errorf("%d here, says %d, end %d", len(here), s.n, s.end())
	}
	for i := range here {
		s.remove(i)
	}
	if s.n != 0 || len(s.chunks) != 0 || s.at(0) != nil {
		t.Errorf("%d left in %d chunks", s.n, len(s.chunks))
	}
}
