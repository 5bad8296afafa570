//go:build !noembed

package embedded

import (
	"bufio"
	"bytes"
	"encoding/binary"
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

// The wire protocol, as far as the gate must know it:
// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
const (
	headerSize = 16
	maxMessage = 48_000_000 // bytes
	bufferSize = 16 << 10

	opMsg      = 2013
	moreToCome = 1 << 1 // the sender wants no reply
)

// changing are the commands that read before they write. FerretDB takes both
// spellings of the last.
var changing = [][]byte{[]byte("update"), []byte("delete"), []byte("findAndModify"), []byte("findandmodify")}

type header struct {
	length                int
	requestID, responseTo uint32
	changes               bool // a command that must be alone, and is answered
}

// peek reads a message's header, and its command's name where there is one,
// without taking them.
func peek(r *bufio.Reader) (h header, err error) {
	b, err := r.Peek(headerSize)
	if err != nil {
		return h, err
	}
	h = header{
		length:     int(int32(binary.LittleEndian.Uint32(b))),
		requestID:  binary.LittleEndian.Uint32(b[4:]),
		responseTo: binary.LittleEndian.Uint32(b[8:]),
	}
	if h.length < headerSize || h.length > maxMessage {
		return h, errors.New("not a message")
	}
	if binary.LittleEndian.Uint32(b[12:]) != opMsg {
		return h, nil
	}
	// Flags, the kind of the first section (a document), the document's
	// length, the type of its first field, and that field's name: the command.
	const flags, name, longest = headerSize, headerSize + 4 + 1 + 4 + 1, 16
	if b, err = r.Peek(min(h.length, name+longest)); err != nil || len(b) < name {
		return h, err
	}
	if binary.LittleEndian.Uint32(b[flags:])&moreToCome != 0 {
		return h, nil
	}
	command, _, _ := bytes.Cut(b[name:], []byte{0})
	for _, c := range changing {
		h.changes = h.changes || bytes.Equal(command, c)
	}
	return h, nil
}

// pass moves one message.
func pass(to io.Writer, from *bufio.Reader) (header, error) {
	h, err := peek(from)
	if err != nil {
		return h, err
	}
	_, err = io.CopyN(to, from, int64(h.length))
	return h, err
}
