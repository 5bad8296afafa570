//go:build !noembed

package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/FerretDB/FerretDB/ferretdb"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Available says whether this build contains the embedded database.
const Available = true

// A DB is a running embedded database.
type DB struct {
	uri    string
	dir    string
	gate   *gate
	cancel context.CancelFunc
	done   chan struct{}
	lock   *os.File
	once   sync.Once
	err    error
}

// Open starts the database and returns when it answers. The context bounds
// the start only; Close ends the database.
func Open(ctx context.Context, cfg Config) (db *DB, err error) {
	addr, err := cfg.listen()
	if err != nil {
		return nil, err
	}
	dir, err := folder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	if err := afterLog(ctx, dir); err != nil {
		return nil, err
	}
	l, err := listen(addr)
	if err != nil {
		return nil, err
	}
	ferret, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Logger:    slog.New(quiet{cfg.logger().Handler()}),
		Handler:   "sqlite",
		SQLiteURL: fileURL(dir),
	})
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("embedded database in %s: %w", dir, err)
	}

	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	db = &DB{uri: "mongodb://" + l.Addr().String() + "/", dir: dir, cancel: cancel, done: make(chan struct{}), lock: lock}
	go func() {
		defer close(db.done)
		db.err = ferret.Run(run)
	}()
	behind := strings.Trim(strings.TrimPrefix(ferret.MongoDBURI(), "mongodb:"), "/")
	db.gate = openGate(l, time.Minute, func() (net.Conn, error) { return net.Dial("tcp", behind) })

	if err := db.ensureLog(ctx); err != nil {
		_ = db.end()
		return nil, fmt.Errorf("embedded database in %s: make the log of writes: %w", dir, err)
	}
	return db, nil
}

// URI is where any MongoDB client on this machine reaches the database.
func (db *DB) URI() string { return db.uri }

// Close ends the database and the connections to it, and waits for that.
func (db *DB) Close() error {
	db.once.Do(func() { db.err = errors.Join(db.end(), db.lock.Close()) })
	return db.err
}

// end ends all but the lock of the folder.
func (db *DB) end() error {
	db.gate.close()
	db.cancel()
	<-db.done
	return db.err
}

// ensureLog makes the log once. The client is short-lived, because one that
// stays costs heartbeats for nothing.
func (db *DB) ensureLog(ctx context.Context) error {
	client, err := mongo.Connect(options.Client().ApplyURI(db.uri).SetServerSelectionTimeout(10 * time.Second))
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	return EnsureLog(ctx, client)
}

// listen tells a port in use apart from the other reasons to fail, in words
// for the operator.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("embedded database: %s is in use by another program: stop it, or choose another address with --embedded-listen", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("embedded database: listen on %s: %w", addr, err)
	}
	return l, nil
}

// folder makes the data folder and proves that it can be written to.
func folder(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("embedded database: no data folder given: set --data")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("embedded database: data folder: %w", err)
	}
	if strings.ContainsAny(dir, "%?#") {
		// FerretDB puts the path into an SQLite URI without escaping it.
		return "", fmt.Errorf("embedded database: the data folder %s has one of %%, ? and # in its path, which it cannot open: choose another folder with --data", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("embedded database: make the data folder: %w", err)
	}
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return "", fmt.Errorf("embedded database: the data folder %s cannot be written to: %w", dir, err)
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return "", fmt.Errorf("embedded database: data folder %s: %w", dir, err)
	}
	return dir, nil
}
