package replset

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func (s *Server) accept() {
	for {
		c, err := s.cfg.Listener.Accept()
		switch {
		case s.ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptor is free: one may be soon
			select {
			case <-s.ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		if !s.keep(c) {
			c.Close()
			continue
		}
		s.wg.Go(func() {
			defer s.drop(c)
			s.cfg.Logger.Debug("embedded database: a client's connection ends", "error", s.serve(c))
		})
	}
}

func (s *Server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || len(s.conns) >= maxConns {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) drop(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// serve answers one client's commands, one after another, until one cannot be
// read or answered; the error says why.
func (s *Server) serve(c net.Conn) error {
	for r := bufio.NewReaderSize(c, 4<<10); ; {
		req, size, err := header(r, c, s.cfg.Stall)
		if err != nil {
			return err
		}
		if err := s.one(r, c, req, size); err != nil {
			return err
		}
	}
}

// one reads the rest of a command and answers it.
func (s *Server) one(r *bufio.Reader, c net.Conn, req request, size int) (err error) {
	held, err := s.payload(r, c, &req, size)
	defer s.inFlight.Release(held)
	if err != nil {
		return err
	}
	cmd, err := parse(req)
	if err != nil {
		return err
	}
	reply, err := s.answer(cmd)
	if err != nil || cmd.silent {
		return err
	}
	if err := c.SetWriteDeadline(time.Now().Add(s.cfg.Stall)); err != nil {
		return err
	}
	_, err = c.Write(answer(req, encode(reply)))
	return err
}

// payload reads what follows the header. What has arrived of a large command
// counts against what all of them may take, until held is released; what was
// only promised does not, so that promises cannot keep others waiting.
func (s *Server) payload(r *bufio.Reader, c net.Conn, req *request, size int) (held int64, err error) {
	deadline := time.Now().Add(s.cfg.Stall)
	if err := c.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithDeadline(s.ctx, deadline)
	defer cancel()
	for free := smallMessage; len(req.payload) < size; free = largeChunk {
		n := min(size-len(req.payload), free)
		if free != smallMessage {
			if err := s.inFlight.Acquire(ctx, int64(n)); err != nil {
				return held, err
			}
			held += int64(n)
		}
		req.payload = slices.Grow(req.payload, n)
		more := req.payload[len(req.payload) : len(req.payload)+n]
		if _, err := io.ReadFull(r, more); err != nil {
			return held, err
		}
		req.payload = req.payload[:len(req.payload)+n]
	}
	return held, nil
}

func (s *Server) answer(cmd *Command) (bson.D, error) {
	err := cmd.invalid
	var reply bson.D
	if err == nil {
		reply, err = s.handle(s.ctx, cmd)
	}
	if refused := (*Error)(nil); errors.As(err, &refused) {
		return s.stamp(refused.reply()), nil
	}
	return reply, err
}
