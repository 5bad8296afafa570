package fanout

import (
	"errors"
	"net"
	"syscall"
)

// Listener counts as refusals the connections that l could not accept for
// want of descriptors. net/http waits a while, up to a second, and accepts
// again; the clients wait in the kernel's backlog.
func (h *Hub) Listener(l net.Listener) net.Listener { return &listener{l, h} }

type listener struct {
	net.Listener
	hub *Hub
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		l.hub.metrics.refusals.WithLabelValues("descriptors").Inc()
	}
	return c, err
}
