package tail

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"statustail/stream/mongodb"
)

// A Source is how a database can be followed.
type Source string

const (
	Auto         Source = "auto"         // ask the server
	ChangeStream Source = "changestream" // replica sets, sharded clusters, Atlas
	Capped       Source = "capped"       // a standalone mongod
)

// Detect asks the server how it can be followed. Its errors are those of
// mongodb.Detect.
func Detect(ctx context.Context, client *mongo.Client) (Source, error) {
	deployment, err := mongodb.Detect(ctx, client)
	switch {
	case err != nil:
		return "", err
	case deployment.Clustered():
		return ChangeStream, nil
	}
	return Capped, nil
}

// New makes the follower for a source, which it asks the server for when the
// source is Auto or empty.
func New(ctx context.Context, source Source, cfg Config) (Follower, Source, error) {
	if source == Auto || source == "" {
		detected, err := Detect(ctx, cfg.Client)
		if err != nil {
			return nil, "", err
		}
		source = detected
	}
	switch source {
	case ChangeStream:
		return NewChangeStream(cfg), source, nil
	case Capped:
		return NewCapped(cfg), source, nil
	}
	return nil, "", fmt.Errorf("source %q: want auto, changestream or capped", source)
}
