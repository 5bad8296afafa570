//go:build !noembed

package embedded

import (
	"bufio"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A gate is what clients connect to. It passes messages on to FerretDB, whose
// update is a read and then a write: of two at the same moment, one is lost.
// So the gate lets one command that changes documents through at a time.
// Inserts, which nothing can come between, and reads pass freely.
type gate struct {
	listener net.Listener
	stall    time.Duration // how long a client may take for a reply
	backend  func() (net.Conn, error)
	changing sync.Mutex // held from a changing command to its reply

	mu    sync.Mutex
	open  map[net.Conn]struct{} // nil when the gate is closed
	conns sync.WaitGroup
}

func openGate(l net.Listener, stall time.Duration, backend func() (net.Conn, error)) *gate {
	g := &gate{listener: l, stall: stall, backend: backend, open: make(map[net.Conn]struct{})}
	g.conns.Go(g.accept)
	return g
}

// close ends all connections and waits for that.
func (g *gate) close() {
	g.mu.Lock()
	g.listener.Close()
	for c := range g.open {
		c.Close()
	}
	g.open = nil
	g.mu.Unlock()
	g.conns.Wait()
}

func (g *gate) accept() {
	for {
		c, err := g.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptor is free: they may be again
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if !g.keep(c) {
			c.Close()
			return
		}
		g.conns.Go(func() {
			defer g.drop(c)
			g.serve(c)
		})
	}
}

func (g *gate) keep(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		return false
	}
	g.open[c] = struct{}{}
	return true
}

func (g *gate) drop(c net.Conn) {
	c.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, c)
}

// serve passes one client's messages on until either side ends.
func (g *gate) serve(client net.Conn) {
	server, err := g.backend()
	if err != nil {
		return
	}
	defer server.Close()
	var awaited atomic.Int64           // the request whose reply is waited for, or nobody's
	answered := make(chan struct{}, 1) // closed with the connection
	awaited.Store(nobody)
	g.conns.Go(func() {
		defer close(answered)
		defer client.Close()
		for r := bufio.NewReaderSize(server, bufferSize); ; {
			h, err := peek(r)
			if err != nil {
				return
			}
			if awaited.CompareAndSwap(int64(h.responseTo), nobody) {
				answered <- struct{}{}
			}
			// Whoever takes nothing could hold up all who change something.
			_ = client.SetWriteDeadline(time.Now().Add(g.stall))
			if pass(client, r, h) != nil {
				return
			}
		}
	})
	for r := bufio.NewReaderSize(client, bufferSize); ; {
		h, err := peek(r)
		if err != nil {
			return
		}
		if h.changes {
			g.changing.Lock()
			awaited.Store(int64(h.requestID))
		}
		err = pass(server, r, h)
		if h.changes {
			if err == nil {
				<-answered
			}
			g.changing.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// nobody is no request: their numbers have 32 bits.
const nobody = -1
