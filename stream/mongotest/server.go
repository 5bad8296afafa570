// Package mongotest is a MongoDB replica set for tests that needs no MongoDB:
// a proxy that speaks the wire protocol in front of the embedded database. It
// answers as a primary, keeps an oplog of the writes that pass, serves change
// streams over it, and fails on command.
//
// Shapes of replies and errors are a real server's, so that the real driver in
// front of it behaves as it would. It knows nothing of status pages. What it
// does not have: transactions, several members, and writes that do not pass
// through it.
package mongotest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/embedded"
)

// Config says what kind of server to be.
type Config struct {
	// Dir is the data folder of the database behind. Required.
	Dir string
	// Standalone makes a mongod outside of any replica set: without cluster
	// times and change streams.
	Standalone bool
	// OplogSize is how many events the oplog holds, 100,000 if 0.
	OplogSize int
}

// quietBefore is how many seconds of history the oplog has when the server
// starts: an hour, in which nothing happened.
const quietBefore = 3600

// A Server is a running proxy. Its methods may be called at any time.
type Server struct {
	cfg     Config
	db      *embedded.DB
	backend *mongo.Client
	address string

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// writing is held over a write and the reading of its effects: the
	// oplog has them in the order in which they took place.
	writing sync.Mutex
	effects effects
	retries map[string]retry // by session

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced when anything below changes
	listener  net.Listener
	conns     map[*conn]struct{}
	clock     timestamp
	log       oplog
	cursors   map[int64]*cursor // change streams
	tailables map[int64]*tailable
	lastID    int64
	faults    faults
	commands  []Command
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
	db, err := embedded.Open(ctx, embedded.Config{Dir: cfg.Dir, Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	backend, err := mongo.Connect(options.Client().ApplyURI(db.URI()))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &Server{
		cfg: cfg, db: db, backend: backend,
		changed: make(chan struct{}), conns: make(map[*conn]struct{}), cursors: make(map[int64]*cursor), tailables: make(map[int64]*tailable),
		retries: make(map[string]retry), lastID: 1 << 60,
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.clock = s.clock.next()
	// The set has been there for a while, and nothing happened.
	s.log = oplog{size: cfg.OplogSize, floor: timestamp{s.clock.t - quietBefore, 0}}
	s.faults.term = 1
	if err := s.listen("127.0.0.1:0"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// URI is what clients connect to. It has them notice an election soon.
func (s *Server) URI() string {
	if s.cfg.Standalone {
		return fmt.Sprintf("mongodb://%s/?heartbeatFrequencyMS=500", s.address)
	}
	return fmt.Sprintf("mongodb://%s/?replicaSet=rs0&heartbeatFrequencyMS=500", s.address)
}

// Backend is a client of the database behind, for assertions. Nothing should
// be written through it.
func (s *Server) Backend() *mongo.Client { return s.backend }

// Close ends the server and waits for it.
func (s *Server) Close() error {
	s.cancel()
	s.mu.Lock()
	if s.listener != nil {
		s.listener.Close()
	}
	s.cut()
	s.mu.Unlock()
	s.wg.Wait()
	_ = s.backend.Disconnect(context.Background())
	return s.db.Close()
}

// listen opens the port; the lock is not held.
func (s *Server) listen(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.listener, s.address = l, l.Addr().String()
	s.mu.Unlock()
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.accept(c)
		}
	})
	return nil
}

func (s *Server) accept(client net.Conn) {
	ctx, cancel := context.WithCancel(s.ctx)
	c := &conn{s: s, client: client, ctx: ctx, cancel: cancel}
	s.mu.Lock()
	if s.ctx.Err() != nil || s.listener == nil { // closed or down since
		s.mu.Unlock()
		c.close()
		return
	}
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.wg.Go(func() {
		c.serve()
		c.close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
}

// cut closes all connections; the lock is held.
func (s *Server) cut() {
	for c := range s.conns {
		c.close()
	}
}

// notify wakes whoever waits for a change; the lock is held.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}
