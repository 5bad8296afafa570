package main

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// A connLimit bounds the connections of a server that are no streams, or not
// yet: what waits to be a request, is one, or stays open after one. So that
// strangers who open connections and say nothing can use up neither the
// descriptors of operators and of the database, nor those of streams. Others
// wait in the kernel's queue meanwhile.
type connLimit struct {
	slots chan struct{}
	held  sync.Map // net.Conn: each has a slot until it is closed or a stream

	// makeRoom closes connections that are idle between two requests. It is
	// called when a listener has to wait, and while it does for each that
	// becomes idle.
	makeRoom func()
	waiting  atomic.Int32
}

func newConnLimit(n int, makeRoom func()) *connLimit {
	return &connLimit{slots: make(chan struct{}, n), makeRoom: makeRoom}
}

// listener accepts what there is a slot for.
func (l *connLimit) listener(inner net.Listener) net.Listener {
	return &limitedListener{inner, l, make(chan struct{}), sync.Once{}}
}

type limitedListener struct {
	net.Listener
	limit  *connLimit
	closed chan struct{}
	once   sync.Once
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.limit.slots <- struct{}{}:
	default:
		if !l.wait() {
			return nil, net.ErrClosed
		}
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.limit.slots
		return nil, err
	}
	l.limit.held.Store(c, nil)
	return c, nil
}

// wait waits for a slot, and is false when the listener is closed.
func (l *limitedListener) wait() bool {
	l.limit.waiting.Add(1)
	defer l.limit.waiting.Add(-1)
	l.limit.makeRoom()
	select {
	case l.limit.slots <- struct{}{}:
		return true
	case <-l.closed:
		return false
	}
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// state is the server's ConnState.
func (l *connLimit) state(c net.Conn, state http.ConnState) {
	if state == http.StateIdle && l.waiting.Load() > 0 {
		l.makeRoom()
	}
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	if _, held := l.held.LoadAndDelete(c); held {
		<-l.slots
	}
}
