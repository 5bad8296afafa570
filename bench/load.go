package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A reader is one connection of the load generator.
type reader struct {
	fd    int
	seq   int    // the newest event seen
	last  int64  // when, on the monotonic clock, less when it was published
	carry []byte // an unfinished line
	state uint8
	stall bool // reads nothing
}

const (
	connecting uint8 = iota
	asking           // the request is sent
	reading          // the head of the answer has come
)

// generator is one epoll thread with many connections from many addresses.
type generator struct {
	epoll   int
	readers map[int]*reader // by descriptor
	buffer  []byte
	source  int
	events  []unix.EpollEvent

	pending    int // connections without an answer yet
	await      int // the sequence number waited for
	arrived    []time.Duration
	lost       int
	resumed    int // snapshots that say recovered: true
	unresumed  int // snapshots that say recovered: false
	disordered int
}

func load() error {
	runtime.LockOSThread()
	ep, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	g := &generator{epoll: ep, readers: map[int]*reader{}, buffer: make([]byte, 256<<10), events: make([]unix.EpollEvent, 512)}
	return obey(func(o order) answer {
		var a answer
		var err error
		switch o.Do {
		case "connect":
			begun := time.Now()
			err = g.connect(o)
			a.Took = time.Since(begun)
			a.Connected = len(g.readers)
		case "await":
			reply(answer{}) // ready
			a = g.awaitAll(o)
		case "churn":
			begun := time.Now()
			err = g.churn(o)
			a.Took = time.Since(begun)
		default:
			err = errors.New("unknown order " + o.Do)
		}
		if err != nil {
			a.Err = err.Error()
		}
		return a
	})
}

// open starts a connection, from the next of 250 addresses.
func (g *generator) open(addr netip.AddrPort, stall bool) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if stall {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
	}
	// The port is chosen when connecting: each address has all of them.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	g.source++
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 1, 0, byte(1 + g.source%250)}}); err != nil {
		unix.Close(fd)
		return err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return fmt.Errorf("connect: %w", err)
	}
	g.readers[fd] = &reader{fd: fd, stall: stall}
	g.pending++
	return unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(fd)})
}

func (g *generator) close(r *reader) {
	if r.state != reading {
		g.pending--
	}
	delete(g.readers, r.fd)
	unix.Close(r.fd)
}

// connect opens o.N connections, at most 128 of them under way at a time, and
// waits until all have an answer.
func (g *generator) connect(o order) error {
	addr, err := netip.ParseAddrPort(o.Addr)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(2 * time.Minute)
	for left := o.N; left > 0 || g.pending > 0; {
		for left > 0 && g.pending < 128 {
			if err := g.open(addr, o.Stall); err != nil {
				return err
			}
			left--
		}
		if err := g.turn(1000); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d connections have no answer", g.pending+left)
		}
	}
	return nil
}

var request = []byte("GET / HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n")

// turn waits for events and handles them.
func (g *generator) turn(ms int) error {
	n, err := unix.EpollWait(g.epoll, g.events, ms)
	if err != nil && err != unix.EINTR {
		return err
	}
	for _, ev := range g.events[:max(n, 0)] {
		r := g.readers[int(ev.Fd)]
		if r == nil {
			continue
		}
		if r.state == connecting {
			if _, err := unix.Write(r.fd, request); err != nil {
				return fmt.Errorf("request: %w", err)
			}
			r.state = asking
			err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_MOD, r.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: ev.Fd})
			if err != nil {
				return err
			}
			continue
		}
		if !g.read(r) {
			g.lost++
			g.close(r)
		}
	}
	return nil
}

// read takes what is there once, and reports whether the connection stands.
func (g *generator) read(r *reader) bool {
	room := g.buffer
	if r.stall {
		room = room[:256] // the head, and never more
	}
	n, err := unix.Read(r.fd, room)
	if err == unix.EAGAIN || err == unix.EINTR {
		return true
	}
	if err != nil || n == 0 {
		return false
	}
	now := monotonic()
	if r.state == asking {
		r.state = reading
		g.pending--
		if r.stall {
			_ = unix.EpollCtl(g.epoll, unix.EPOLL_CTL_DEL, r.fd, nil)
			return true
		}
	}
	b := room[:n]
	if len(r.carry) > 0 {
		b = append(r.carry, b...)
		r.carry = nil
	}
	for {
		k := bytes.IndexByte(b, '\n')
		if k < 0 {
			break
		}
		g.line(r, b[:k], now)
		b = b[k+1:]
	}
	if len(b) > 0 {
		r.carry = bytes.Clone(b)
	}
	return true
}

// line takes one line: "data: E seq time padding" is an event, "data: S seq
// recovered" a snapshot.
func (g *generator) line(r *reader, b []byte, now int64) {
	b, ok := bytes.CutPrefix(b, []byte("data: "))
	if !ok || len(b) < 2 {
		return
	}
	kind, b := b[0], b[2:]
	first, b, _ := bytes.Cut(b, []byte(" "))
	seq, err := strconv.Atoi(string(first))
	if err != nil {
		return
	}
	if kind == 'S' {
		switch string(b) {
		case "true":
			g.resumed++
		case "false":
			g.unresumed++
		}
		if seq < r.seq {
			g.disordered++
		}
		r.seq = seq
		return
	}
	second, _, _ := bytes.Cut(b, []byte(" "))
	at, err := strconv.ParseInt(string(second), 10, 64)
	if err != nil {
		return
	}
	if r.seq != 0 && seq != r.seq+1 {
		g.disordered++
	}
	r.seq = seq
	if seq == g.await {
		g.arrived = append(g.arrived, time.Duration(now-at))
	}
}

// awaitAll reads until every connection has seen event o.From, or for o.Over.
func (g *generator) awaitAll(o order) (a answer) {
	g.await, g.arrived, g.resumed, g.unresumed, g.disordered = o.From, g.arrived[:0], 0, 0, 0
	want := 0
	for _, r := range g.readers {
		if !r.stall {
			want++
		}
	}
	deadline := time.Now().Add(o.Over)
	for len(g.arrived) < want-g.lost && time.Now().Before(deadline) {
		if err := g.turn(10); err != nil {
			a.Err = err.Error()
			return a
		}
	}
	a.Connected, a.Got, a.Lost = want, len(g.arrived), g.lost
	a.Resumed, a.Disordered = g.resumed+g.unresumed, g.disordered
	g.lost = 0
	if len(g.arrived) > 0 {
		slices.Sort(g.arrived)
		n := len(g.arrived)
		a.Median, a.P99, a.Last = g.arrived[n/2], g.arrived[n*99/100], g.arrived[n-1]
	}
	return a
}

// churn opens o.N connections in all and closes them in random order, some
// with a reset, some before they have an answer; at most 2,000 are open.
func (g *generator) churn(o order) error {
	addr, err := netip.ParseAddrPort(o.Addr)
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(1, 2))
	for left := o.N; left > 0 || len(g.readers) > 0; {
		for range 64 {
			if left > 0 && len(g.readers) < 2000 && g.pending < 128 {
				if err := g.open(addr, false); err != nil {
					return err
				}
				left--
			}
		}
		if err := g.turn(1); err != nil {
			return err
		}
		k := r.IntN(96)
		if left == 0 {
			k = len(g.readers)
		}
		for fd, one := range g.readers { // Go walks a map in random order
			if k--; k < 0 {
				break
			}
			if one.state == connecting {
				continue
			}
			if r.IntN(2) == 0 {
				_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			}
			g.close(one)
		}
	}
	return nil
}
