// Package embedded is the database of a statustail that is given none:
// FerretDB on SQLite, in this process, reachable from this machine only, by
// any MongoDB client. To a driver it is one member of a replica set, so
// anything can watch() it. Build tag noembed leaves it out.
//
// It must never know what is stored in it or who follows it.
package embedded

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"statustail/stream/embedded/replset"
)

// Config says where the database is.
type Config struct {
	// Dir is the data folder, made when missing. One process at a time may
	// use it. Required.
	Dir string
	// Listen is the address for clients, 127.0.0.1:27018 when empty. It has
	// to be a loopback address, since the database asks for no password. Port
	// 0 takes a free one.
	Listen string
	// LogEvents and LogBytes bound the log of changes, which change streams
	// read; replset.DefaultLogEvents and DefaultLogBytes when zero.
	LogEvents int
	LogBytes  int64
	// Logger gets what an operator needs to know; nil is slog.Default.
	Logger *slog.Logger

	// Listener takes the place of Listen, and Intercept wraps the handling of
	// every command. They are for tests.
	Listener  net.Listener
	Intercept func(replset.Handler) replset.Handler
}

func (cfg Config) listen() (string, error) {
	addr := cfg.Listen
	if addr == "" {
		addr = "127.0.0.1:27018"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("embedded database: address %q: want host:port, such as 127.0.0.1:27018", addr)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.Unmap().IsLoopback() {
		return "", fmt.Errorf("embedded database: address %q is not a loopback address: it has no passwords, so it listens on this machine only; use 127.0.0.1, or a MongoDB of your own with --mongodb-uri", addr)
	}
	return net.JoinHostPort(host, port), nil
}

func (cfg Config) logger() *slog.Logger {
	if cfg.Logger != nil {
		return cfg.Logger
	}
	return slog.Default()
}
