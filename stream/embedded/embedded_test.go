//go:build !noembed

package embedded

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func open(t *testing.T, cfg Config) *DB {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	db, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func connect(t *testing.T, db *DB) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(db.URI()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	return client
}

func TestOpenRefuses(t *testing.T) {
	usedDir := t.TempDir()
	open(t, Config{Dir: usedDir})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"an address of the network", Config{Dir: t.TempDir(), Listen: "0.0.0.0:0"}, "not a loopback address"},
		{"all addresses", Config{Dir: t.TempDir(), Listen: ":27018"}, "not a loopback address"},
		{"a name", Config{Dir: t.TempDir(), Listen: "db.example.com:27018"}, "not a loopback address"},
		{"no port", Config{Dir: t.TempDir(), Listen: "127.0.0.1"}, "want host:port"},
		{"a taken port", Config{Dir: t.TempDir(), Listen: taken.Addr().String()}, "is in use by another program"},
		{"a folder in use", Config{Dir: usedDir, Listen: "127.0.0.1:0"}, "is in use by another process"},
		{"a file for a folder", Config{Dir: file, Listen: "127.0.0.1:0"}, "data folder"},
		{"a folder that is no URI", Config{Dir: t.TempDir() + "/50%", Listen: "127.0.0.1:0"}, "choose another folder"},
		{"no folder", Config{Listen: "127.0.0.1:0"}, "no data folder given"},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, err := Open(t.Context(), test.cfg)
			if err == nil {
				db.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want it to say %q", err, test.want)
			}
		})
	}
}
