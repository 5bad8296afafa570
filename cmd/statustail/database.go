package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/stream/embedded"
	"statustail/stream/mongodb"
	"statustail/stream/schema"
	"statustail/stream/store"
	"statustail/stream/tail"
)

// openDatabase connects to the database, or starts the embedded one.
func (s *server) openDatabase(ctx context.Context) (err error) {
	uri := s.cfg.MongodbURI
	if uri == "" {
		s.db, err = embedded.Open(ctx, embedded.Config{
			Dir: s.cfg.Data, Listen: s.cfg.EmbeddedListen, Logger: s.log,
			LogEvents: s.cfg.EmbeddedLogEvents, LogBytes: int64(s.cfg.EmbeddedLogSize) << 20,
		})
		if err != nil {
			return err
		}
		uri = s.db.URI()
	}
	opts := options.Client().ApplyURI(uri).SetAppName("statustail").SetServerSelectionTimeout(5 * time.Second)
	s.client, err = mongo.Connect(opts)
	if err != nil {
		return usagef("--mongodb-uri: %s", redact(err.Error(), uri))
	}
	readFrom, err := s.cfg.readPreference()
	if err != nil {
		return err
	}
	if readFrom == nil {
		readFrom = opts.ReadPreference
	}
	s.store = store.New(s.client.Database(s.cfg.Database), store.Config{
		Logger: s.log, Registerer: s.metrics, ReadPreference: readFrom,
	})
	if s.db == nil {
		return nil
	}
	if _, err := s.store.Init(ctx, store.InitOptions{}); err != nil {
		return fmt.Errorf("prepare the embedded database: %w", err)
	}
	if _, err := s.store.SeedDemo(ctx); err != nil {
		return fmt.Errorf("put the demo page into the embedded database: %w", err)
	}
	return nil
}

func (s *server) closeDatabase() {
	if s.client != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.client.Disconnect(ctx); err != nil {
			s.log.Debug("disconnecting from the database", "error", err)
		}
	}
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			s.log.Warn("closing the embedded database", "error", err)
		}
	}
}

// detectEvery is how long to wait before a server that could not be reached
// is asked again what it can do.
const detectEvery = 2 * time.Second

// follow passes what changes on to the live pages until ctx is done. A
// database that cannot be reached yet is waited for; one that can never be
// followed is an error.
func (s *server) follow(ctx context.Context) error {
	cfg := tail.Config{
		Client: s.client, Database: s.cfg.Database, Replay: cmp.Or(s.cfg.Replay, -1), // 0 means none here
		Logger: s.log, Registerer: s.metrics,
	}
	for attempt := 0; ; attempt++ {
		follower, source, err := tail.New(ctx, tail.Source(s.cfg.Source), cfg)
		if err == nil {
			s.log.Info("following the database", "source", source, "database", s.cfg.Database)
			s.pages.Trust(source == tail.ChangeStream)
			return follower.Follow(ctx, s.pages)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if unsupported := (*mongodb.UnsupportedError)(nil); errors.As(err, &unsupported) {
			return fmt.Errorf("--mongodb-uri: %w", unsupported)
		}
		if attempt == 0 {
			s.log.Warn("the database cannot be followed yet; waiting for it", "error", redact(err.Error(), s.cfg.MongodbURI))
			s.pages.Lost(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(detectEvery):
		}
	}
}

// trimEvents deletes old application events until ctx is done.
func (s *server) trimEvents(ctx context.Context) {
	for {
		if _, err := s.store.TrimEvents(ctx, time.Now().Add(-schema.EventLife)); err != nil && ctx.Err() == nil {
			s.log.Warn("deleting old application events failed; trying again in an hour", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Hour):
		}
	}
}
