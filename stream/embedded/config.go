// Package embedded is the database of a statustail that is given none:
// FerretDB on SQLite, in this process, reachable from this machine only, by
// any MongoDB client. Build tag noembed leaves it out.
//
// It keeps a log of every write in local.oplog.rs, which is how its changes
// can be followed. It must never know what is stored in it or who follows it.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// Config says where the database is.
type Config struct {
	// Dir is the data folder, made when missing. One process at a time may
	// use it. Required.
	Dir string
	// Listen is the address for clients, 127.0.0.1:27018 when empty. It has
	// to be a loopback address, since the database asks nobody for a
	// password. Port 0 takes a free one.
	Listen string
	// Logger gets what an operator needs to know; nil is slog.Default.
	Logger *slog.Logger
}

// The log of writes, as a replica set calls it. FerretDB writes to it
// whenever it exists.
const (
	LogDatabase   = "local"
	LogCollection = "oplog.rs"
)

// logSize is the cap in bytes that is declared for the log. FerretDB does not
// enforce it, whoever reads the log keeps it short.
const logSize = 64 << 20

// EnsureLog makes the log of writes if it is not there. Writes before it
// existed are not in it.
func EnsureLog(ctx context.Context, client *mongo.Client) error {
	err := client.Database(LogDatabase).RunCommand(ctx, bson.D{
		{Key: "create", Value: LogCollection}, {Key: "capped", Value: true}, {Key: "size", Value: logSize},
	}).Err()
	var failed mongo.CommandError
	if errors.As(err, &failed) && failed.Name == "NamespaceExists" {
		return nil
	}
	return err
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
