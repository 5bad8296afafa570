package fanout

import (
	"io"
	"net"
)

// maxNoise is how much a client may send after its request, where there is
// nothing to say, before it is closed.
const maxNoise = 16 << 10

// A connOutput writes to a connection that has been taken from net/http but
// could not be given to an epoll loop.
type connOutput struct {
	hub  *Hub
	cn   net.Conn
	head []byte
	end  chan struct{}
}

func newConnOutput(h *Hub, cn net.Conn, head []byte) *connOutput {
	o := &connOutput{hub: h, cn: cn, head: head, end: make(chan struct{})}
	go func() {
		defer close(o.end)
		_, _ = io.CopyN(io.Discard, cn, maxNoise)
	}()
	return o
}

func (o *connOutput) gone() <-chan struct{} { return o.end }

// close also ends the goroutine that reads.
func (o *connOutput) close() {
	o.hub.outputs.remove(o)
	_ = o.cn.Close()
}

func (o *connOutput) interrupt() { _ = o.cn.SetWriteDeadline(longAgo) }

func (o *connOutput) write(parts ...[]byte) error {
	if o.head != nil {
		parts = append([][]byte{o.head}, parts...)
		o.head = nil
	}
	for all := concat(parts); len(all) > 0; {
		n := min(len(all), enough)
		if err := o.hub.deadline(o.cn.SetWriteDeadline); err != nil {
			return err
		}
		if _, err := o.cn.Write(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}
