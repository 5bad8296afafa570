// Package replset makes a server that only speaks MongoDB's wire protocol
// (the backend, FerretDB here) one member of a replica set, as far as any
// driver can tell. It is a proxy: it reads whole commands, lets one that
// changes something through at a time, keeps a log of what changed, and
// answers from that log what the backend lacks: cluster times, retryable
// writes, change streams.
//
// It must never know what is stored in it. Nothing else may write to the
// backend: what does not pass through here is not in the log.
package replset

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/sync/semaphore"
)

// Config says what to stand in front of.
type Config struct {
	// Listener accepts the clients. Required; the Server closes it.
	Listener net.Listener
	// Dial connects to the backend. Required.
	Dial func(ctx context.Context) (net.Conn, error)
	// Dir is where the log of changes is kept over restarts. Required.
	Dir string
	// Fresh says that the backend holds nothing yet, so that the log is the
	// whole history and any time before it counts as its beginning.
	Fresh bool
	// LogEvents and LogBytes bound the log; DefaultLogEvents and
	// DefaultLogBytes when zero. The oldest changes go first.
	LogEvents int
	LogBytes  int64
	// Large says whether documents of a database may be so large that a
	// reply of 101 of them exceeds a message. Nil is never.
	Large func(db string) bool
	// Created is called, before anything is written to it, for a collection
	// that may be new. Nil does nothing.
	Created func(ctx context.Context, db, collection string) error
	// Intercept wraps the handling of every command. Nil does not.
	Intercept func(Handler) Handler
	// Stall is how long a client may take for the rest of a command that it
	// began, and for taking a reply; 15 s when zero.
	Stall time.Duration
	// Logger gets what an operator needs to know. Required.
	Logger *slog.Logger
}

const (
	// DefaultLogEvents is how many changes the log keeps.
	DefaultLogEvents = 50_000
	// DefaultLogBytes is how many bytes of documents the log keeps, in memory
	// and on disk each.
	DefaultLogBytes = 64 << 20

	// maxInFlight bounds the bytes of all commands that are being read or
	// answered, but for the first smallMessage bytes of each, which the number
	// of connections bounds.
	maxInFlight  = 256 << 20
	smallMessage = 64 << 10
	// largeChunk is how much of a large command is made room for at a time.
	largeChunk = 1 << 20
	// maxConns is how many clients may be connected; more are closed at once.
	maxConns = 1000
)

// A Handler answers a command. An *Error becomes an error reply; any other
// error closes the connection without one.
type Handler func(ctx context.Context, cmd *Command) (bson.D, error)

// A Server is a running proxy.
type Server struct {
	cfg      Config
	name     string // host:port, as the set's member is called
	handle   Handler
	backend  *backend
	log      *changeLog
	cursors  *cursors
	inFlight *semaphore.Weighted

	// writing has room for the one command that may change something.
	writing  chan struct{}
	sessions sessions
	known    map[string]bool // collections that exist, by namespace

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// Open reads the log and serves clients until Close.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.LogEvents <= 0 {
		cfg.LogEvents = DefaultLogEvents
	}
	if cfg.LogBytes <= 0 {
		cfg.LogBytes = DefaultLogBytes
	}
	if cfg.Stall <= 0 {
		cfg.Stall = 15 * time.Second
	}
	log, interrupted, err := openLog(cfg.Dir, cfg.LogEvents, cfg.LogBytes, cfg.Fresh)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, name: cfg.Listener.Addr().String(), log: log,
		backend: newBackend(cfg.Dial), cursors: newCursors(), inFlight: semaphore.NewWeighted(maxInFlight),
		writing: make(chan struct{}, 1), known: make(map[string]bool), conns: make(map[net.Conn]struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.handle = s.dispatch
	if cfg.Intercept != nil {
		s.handle = cfg.Intercept(s.dispatch)
	}
	if err := s.recover(ctx, interrupted); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.wg.Go(s.accept)
	return s, nil
}

// Close ends every connection and waits for what is under way.
func (s *Server) Close() error {
	s.cancel()
	s.cfg.Listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	s.backend.close()
	return s.log.close()
}

// ClusterTime is the newest cluster time.
func (s *Server) ClusterTime() bson.Timestamp { return s.log.now() }

// WriteError is why nothing can be written at the moment, as on a full disk;
// nil if it can.
func (s *Server) WriteError() error {
	if s.backend.full.Load() {
		return backendError(codeInternal, diskFull)
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.disk.failed
}

// ForgetHistory empties the log, as if it had been too short: every open
// stream fails with ChangeStreamHistoryLost, and so does resuming one. It is
// for tests.
func (s *Server) ForgetHistory() error { return s.log.forget() }

// ShareTimes has the changes of one command share a cluster time, as those of
// a transaction do. It is for tests.
func (s *Server) ShareTimes(on bool) { s.log.shareTimes(on) }

func d(pairs ...any) bson.D {
	doc := make(bson.D, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		doc = append(doc, bson.E{Key: pairs[i].(string), Value: pairs[i+1]})
	}
	return doc
}

// encode cannot fail: what it gets was read from valid BSON or is made here.
func encode(doc any) bson.Raw {
	raw, err := bson.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return raw
}
