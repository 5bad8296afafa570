package fanout

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"time"
)

// head is the response's head on a connection taken from net/http. The body
// ends with the connection: that needs no chunks, which every frame would pay
// for, and suits HTTP/1.0 as well as 1.1.
func head(header http.Header) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	header.Set("Connection", "close")
	header.Del("Transfer-Encoding")
	if header.Get("Date") == "" {
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	_ = header.Write(&b) // sanitises; a Buffer does not fail
	b.WriteString("\r\n")
	return b.Bytes()
}

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

func (o *connOutput) write(frames ...[]byte) error {
	if o.head != nil {
		frames = append([][]byte{o.head}, frames...)
		o.head = nil
	}
	all := bytes.Join(frames, nil)
	for len(all) > 0 {
		n := min(len(all), gulp)
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
