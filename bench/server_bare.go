package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bare is the limit: a loop of write(2) over the sockets, and nothing else.
// It knows nothing of readers that stall, leave, or missed something.
type bare struct {
	mu  sync.Mutex
	fds []int
}

func newBare() server { return &bare{} }

func (s *bare) serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		if err := s.add(c.(*net.TCPConn)); err != nil {
			c.Close()
		}
	}
}

func (s *bare) add(c *net.TCPConn) error {
	if _, err := http.ReadRequest(bufio.NewReaderSize(c, 512)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")); err != nil {
		return err
	}
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	if cerr := rc.Control(func(old uintptr) { fd, err = unix.Dup(int(old)) }); cerr != nil {
		return cerr
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.fds = append(s.fds, fd)
	s.mu.Unlock()
	return c.Close()
}

func (s *bare) publish(id int, data string) {
	b := fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", id, eventName, data)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range s.fds {
		_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	}
}
