// Package mongotest is a MongoDB for tests that needs none: the embedded
// database, which is one member of a replica set, with faults on command. It
// can be a standalone mongod as well.
//
// Shapes of replies and errors are a real server's, so that the real driver in
// front of it behaves as it would. It must never know what a status page is.
package mongotest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/embedded"
	"statustail/stream/embedded/replset"
)

// Config says what kind of server to be.
type Config struct {
	// Dir is the data folder. Required by New.
	Dir string
	// Standalone makes a mongod outside of any replica set: without cluster
	// times and change streams, with tailable cursors on capped collections.
	Standalone bool
	// OplogSize is how many events the oplog holds, 100,000 if 0.
	OplogSize int
}

// A Server is a running server. Its methods may be called at any time.
type Server struct {
	cfg      Config
	db       *embedded.DB
	listener *listener
	next     replset.Handler // without faults

	ctx    context.Context
	cancel context.CancelFunc

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced when anything below or in the database changes
	faults    faults
	commands  []Command
	streams   map[int64]struct{} // cursors of change streams
	tailables map[int64]*tailable
	lastID    int64
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWith(t, Config{})
}

// StartWith is Start for another configuration; Dir may be empty.
func StartWith(t testing.TB, cfg Config) *Server {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// New starts a server.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.OplogSize == 0 {
		cfg.OplogSize = 100_000
	}
	l, err := listen()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, listener: l, changed: make(chan struct{}),
		streams: make(map[int64]struct{}), tailables: make(map[int64]*tailable),
	}
	s.faults.term = 1
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.db, err = embedded.Open(ctx, embedded.Config{
		Dir: cfg.Dir, Listener: l, LogEvents: cfg.OplogSize, Logger: slog.New(slog.DiscardHandler),
		Intercept: func(next replset.Handler) replset.Handler {
			s.next = next
			return s.handle
		},
	})
	if err != nil {
		s.cancel()
		return nil, err
	}
	return s, nil
}

// URI is what clients connect to. It has them notice an election soon.
func (s *Server) URI() string {
	uri := fmt.Sprintf("mongodb://%s/?heartbeatFrequencyMS=500", s.listener.Addr())
	if !s.cfg.Standalone {
		uri += "&replicaSet=statustail"
	}
	return uri
}

// Run does a command past all faults.
func (s *Server) Run(ctx context.Context, db string, command bson.D) (bson.Raw, error) {
	body, err := bson.Marshal(command)
	if err != nil {
		return nil, err
	}
	cmd, err := replset.NewCommand(db, body)
	if err != nil {
		return nil, err
	}
	reply, err := s.next(ctx, cmd)
	if err != nil {
		return nil, err
	}
	s.notify()
	return bson.Marshal(reply)
}

// Close ends the server and waits for it.
func (s *Server) Close() error {
	s.cancel()
	return s.db.Close()
}

// ClusterTime is the newest cluster time.
func (s *Server) ClusterTime() bson.Timestamp { return s.db.ClusterTime() }

// notify wakes what waits.
func (s *Server) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
}

// wake is notify with the lock held.
func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// A listener can be taken down and brought up again at the same address, and
// knows its connections.
type listener struct {
	address net.Addr
	conns   chan net.Conn

	mu     sync.Mutex
	inner  net.Listener // nil while it is down
	open   map[net.Conn]struct{}
	closed chan struct{}
}

func listen() (*listener, error) {
	l := &listener{conns: make(chan net.Conn), open: make(map[net.Conn]struct{}), closed: make(chan struct{})}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.address = inner.Addr()
	l.start(inner)
	return l, nil
}

func (l *listener) start(inner net.Listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inner = inner
	go func() {
		for {
			c, err := inner.Accept()
			if err != nil {
				return
			}
			l.mu.Lock()
			up := l.inner == inner
			if up {
				l.open[c] = struct{}{}
			}
			l.mu.Unlock()
			if !up {
				c.Close()
				return
			}
			select {
			case l.conns <- tracked{c, l}:
			case <-l.closed:
				c.Close()
				return
			}
		}
	}()
}

// A tracked connection is forgotten when it is closed.
type tracked struct {
	net.Conn
	l *listener
}

func (c tracked) Close() error {
	c.l.mu.Lock()
	delete(c.l.open, c.Conn)
	c.l.mu.Unlock()
	return c.Conn.Close()
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Addr() net.Addr { return l.address }

func (l *listener) Close() error {
	err := l.down()
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return err
}

// cut closes every connection.
func (l *listener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		c.Close()
	}
	clear(l.open)
}

// down closes the port, and every connection.
func (l *listener) down() (err error) {
	l.mu.Lock()
	if l.inner != nil {
		err = l.inner.Close()
		l.inner = nil
	}
	l.mu.Unlock()
	l.cut()
	return err
}

// up opens the port again. Another socket may hold it for a moment.
func (l *listener) up() error {
	l.mu.Lock()
	up := l.inner != nil
	l.mu.Unlock()
	if up {
		return nil
	}
	var errs error
	for range 50 {
		inner, err := net.Listen("tcp", l.address.String())
		if err == nil {
			l.start(inner)
			return nil
		}
		errs = errors.Join(errs, err)
		select {
		case <-l.closed:
			return net.ErrClosed
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errs
}
