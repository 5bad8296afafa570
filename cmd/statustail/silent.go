package main

import (
	"net"
	"net/http"
	"sync"
)

// silent are the connections over which nothing has been asked yet: browsers
// open them ahead of what they may want. http.Server.Shutdown waits for them
// for seconds, which would be for nothing.
type silent struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
}

// watch is an http.Server's ConnState.
func (s *silent) watch(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.conns, c)
	case s.ended:
		c.Close()
	case s.conns == nil:
		s.conns = map[net.Conn]bool{c: true}
	default:
		s.conns[c] = true
	}
}

// end closes them, and those that come.
func (s *silent) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for c := range s.conns {
		c.Close()
	}
}
