package store

import (
	"log/slog"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/mongodb/mongodbtest"
)

// A fakeServer is a scripted server with a store in front of it.
type fakeServer struct {
	*mongodbtest.Server
	t testing.TB
}

func startFake(t testing.TB, clustered bool, script mongodbtest.Script) *fakeServer {
	t.Helper()
	return &fakeServer{mongodbtest.Start(t, mongodbtest.Config{Clustered: clustered, Script: script}), t}
}

func (f *fakeServer) store(cfg Config) *Store {
	f.t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(f.t.Output(), nil))
	}
	return New(f.Client().Database("statustail"), cfg)
}

func (f *fakeServer) asked(name string) []bson.Raw { return f.Asked(name) }

func commandName(command bson.Raw) string { return mongodbtest.Name(command) }

func cursorOf(ns string, docs ...any) bson.D { return mongodbtest.Cursor(ns, docs...) }

func failure(code int, name, text string) bson.D { return mongodbtest.Failure(code, name, text) }

func at(command bson.Raw, path ...string) string { return mongodbtest.At(command, path...) }
