package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A server is what is measured: one stream, whoever connects reads it. What
// it publishes is an event like those of a status page: with a name and an id.
type server interface {
	serve(net.Listener) error
	publish(id int, data string)
}

const eventName = "issue_updated"

// A counter is a server that counts what it does.
type counter interface{ counts(*answer) }

var kinds = []struct {
	name string
	make func() server
}{
	{"bare", newBare},
	{"statustail", newFanout},
	{"statustail-portable", newPortable},
	{"go-sse", newGoSSE},
	{"r3labs", newR3labs},
	{"mercure", newMercure},
}

func kindNames() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

func serve(kind string) error {
	i := slices.Index(kindNames(), kind)
	if i < 0 {
		return fmt.Errorf("no server %q, there are %s", kind, strings.Join(kindNames(), ", "))
	}
	s := kinds[i].make()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		if err := s.serve(l); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", kind, err)
		}
	}()
	reply(answer{Addr: l.Addr().String()})
	seq := 0
	publish := func(size int) {
		seq++
		s.publish(seq, fmt.Sprintf("E %d %d %s", seq, monotonic(), strings.Repeat("x", size)))
	}
	return obey(func(o order) (a answer) {
		switch o.Do {
		case "publish":
			// One after the other, so that each is a delivery of its own.
			begun := time.Now()
			publish(o.Size)
			a.Took = time.Since(begun)
		case "burst":
			each := o.Over / time.Duration(o.N)
			begun := time.Now()
			for k := range o.N {
				time.Sleep(time.Until(begun.Add(time.Duration(k) * each)))
				one := time.Now()
				publish(o.Size)
				a.Took = max(a.Took, time.Since(one))
			}
			a.All = time.Since(begun)
		case "memory":
			debug.FreeOSMemory()
			debug.FreeOSMemory()
			a.stats(s)
		case "stats":
			a.stats(s)
		case "cpu":
			a.cpu()
		default:
			a.Err = "unknown order " + o.Do
		}
		return a
	})
}

// cpu is a measurement that costs next to nothing itself.
func (a *answer) cpu() {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		a.Err = err.Error()
		return
	}
	a.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func (a *answer) stats(s server) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		a.Err = err.Error()
		return
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			kb, _ := strconv.Atoi(strings.Fields(string(rest))[0])
			a.RSS = kb << 10
		}
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		a.Descriptors = len(fds)
	}
	a.Goroutines = runtime.NumGoroutine()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	a.Heap = int(m.HeapAlloc)
	if c, ok := s.(counter); ok {
		c.counts(a)
	}
}

// monotonic is the same clock in every process of the machine.
func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// httpServer serves a handler, as all but the bare loop do.
type httpServer struct{ handler http.Handler }

func (s httpServer) serve(l net.Listener) error {
	return (&http.Server{Handler: s.handler}).Serve(l)
}
