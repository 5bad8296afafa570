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

	"github.com/FerretDB/FerretDB/ferretdb"

	"statustail/stream/embedded/replset"
)

// Available says whether this build contains the embedded database.
const Available = true

// A DB is a running embedded database.
type DB struct {
	*replset.Server
	uri  string
	once sync.Once
	stop []func() error // what Close does, the last first
	err  error
}

// Open starts the database and returns when it answers. The context bounds
// the start only; Close ends the database.
func Open(ctx context.Context, cfg Config) (_ *DB, err error) {
	dir, err := folder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	opened := &DB{stop: []func() error{lock.Close}}
	defer func() {
		if err != nil {
			_ = opened.Close()
		}
	}()
	l := cfg.Listener
	if l == nil {
		if l, err = listen(cfg); err != nil {
			return nil, err
		}
	}
	socket, err := opened.startFerretDB(ctx, cfg, dir)
	if err != nil {
		l.Close()
		return nil, err
	}
	var dialer net.Dialer
	opened.Server, err = replset.Open(ctx, replset.Config{
		Listener: l, Dir: dir, Fresh: isEmpty(dir), LogEvents: cfg.LogEvents, LogBytes: cfg.LogBytes,
		Dial:      func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "unix", socket) },
		Large:     func(name string) bool { return databaseSize(dir, name) > largeDatabase },
		Created:   func(ctx context.Context, name, _ string) error { return indexIDs(ctx, dir, name) },
		Intercept: cfg.Intercept, Logger: cfg.logger(),
	})
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("embedded database in %s: %w", dir, err)
	}
	opened.stop = append(opened.stop, opened.Server.Close)
	opened.uri = "mongodb://" + l.Addr().String() + "/"
	return opened, nil
}

// URI is where any MongoDB client on this machine reaches the database.
func (db *DB) URI() string { return db.uri }

// Close ends the database and the connections to it, and waits for that.
func (db *DB) Close() error {
	db.once.Do(func() {
		for i := len(db.stop) - 1; i >= 0; i-- {
			db.err = errors.Join(db.err, db.stop[i]())
		}
	})
	return db.err
}

// starting is held while a FerretDB is made, which changes variables of its
// packages.
var starting sync.Mutex

// startFerretDB starts it on a socket in a folder that only this user can
// enter, so that nothing gets past the proxy.
func (db *DB) startFerretDB(ctx context.Context, cfg Config, dir string) (socket string, err error) {
	if err := removeOldLog(dir); err != nil {
		return "", fmt.Errorf("embedded database in %s: %w", dir, err)
	}
	if err := indexAllIDs(ctx, dir); err != nil {
		return "", fmt.Errorf("embedded database in %s: %w", dir, err)
	}
	private, err := os.MkdirTemp("", "statustail-")
	if err != nil {
		return "", fmt.Errorf("embedded database: make a folder for its socket: %w", err)
	}
	db.stop = append(db.stop, func() error { return os.RemoveAll(private) })
	socket = filepath.Join(private, "ferretdb.sock")
	starting.Lock()
	defer starting.Unlock()
	ferret, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: socket},
		Logger:    slog.New(quiet{cfg.logger().Handler()}),
		Handler:   "sqlite",
		SQLiteURL: fileURL(dir),
	})
	if err != nil {
		return "", fmt.Errorf("embedded database in %s: %w", dir, err)
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- ferret.Run(run) }()
	db.stop = append(db.stop, func() error {
		cancel()
		return <-done
	})
	return socket, nil
}

// listen tells a port in use apart from the other reasons to fail, in words
// for the operator.
func listen(cfg Config) (net.Listener, error) {
	addr, err := cfg.listen()
	if err != nil {
		return nil, err
	}
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
