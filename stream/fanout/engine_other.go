//go:build !linux

package fanout

import (
	"net"
	"net/http"
	"time"
)

// Without epoll every subscriber is a portable one.
type (
	engine struct{}
	lane   struct{}
)

func newEngine(*Hub) (*engine, error) { return nil, nil }

func (*lane) notify() {}

func (*Hub) take(http.ResponseWriter, *http.Request) net.Conn { return nil }

func (*engine) subscribe(net.Conn, http.ResponseWriter, *Channel, ticket, *catchUp) bool {
	return false
}

func (*engine) park(net.Conn, http.ResponseWriter, []byte, time.Duration) bool {
	return false
}

func (*engine) tick()         {}
func (*engine) drain(float64) {}
func (*engine) stop()         {}
