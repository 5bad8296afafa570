//go:build !noembed

package embedded

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A gate is what clients connect to. It passes messages on to FerretDB, whose
// update is a read and then a write: of two at the same moment, one is lost.
// So the gate lets one command that changes documents through at a time.
// Inserts, which nothing can come between, and reads pass freely.
type gate struct {
	listener net.Listener
	backend  func() (net.Conn, error)
	changing sync.Mutex // held from a changing command to its reply

	mu    sync.Mutex
	open  map[net.Conn]struct{} // nil when the gate is closed
	conns sync.WaitGroup
}

func openGate(l net.Listener, backend func() (net.Conn, error)) *gate {
	g := &gate{listener: l, backend: backend, open: make(map[net.Conn]struct{})}
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
	replies := make(chan uint32, 1) // to commands that change something
	var awaited waiting
	g.conns.Go(func() {
		defer close(replies)
		defer client.Close()
		for r := bufio.NewReaderSize(server, bufferSize); ; {
			h, err := pass(client, r)
			if err != nil {
				return
			}
			if awaited.is(h.responseTo) {
				replies <- h.responseTo
			}
		}
	})
	defer server.Close()
	for r := bufio.NewReaderSize(client, bufferSize); ; {
		h, err := peek(r)
		if err != nil {
			return
		}
		if !h.changes {
			if _, err := pass(server, r); err != nil {
				return
			}
			continue
		}
		if err := g.change(server, r, h.requestID, &awaited, replies); err != nil {
			return
		}
	}
}

// change passes a command on when no other is under way, and returns when it
// has been answered.
func (g *gate) change(server net.Conn, r *bufio.Reader, id uint32, awaited *waiting, replies <-chan uint32) error {
	g.changing.Lock()
	defer g.changing.Unlock()
	awaited.set(id)
	if _, err := pass(server, r); err != nil {
		return err
	}
	if _, ok := <-replies; !ok {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// waiting is the request whose reply is waited for.
type waiting struct {
	mu sync.Mutex
	id uint32
	on bool
}

func (w *waiting) set(id uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.id, w.on = id, true
}

// is reports whether the reply is to that request; then nothing is waited for
// any more.
func (w *waiting) is(responseTo uint32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.on || w.id != responseTo {
		return false
	}
	w.on = false
	return true
}
