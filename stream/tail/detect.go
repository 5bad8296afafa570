package tail

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// A Source is how a database can be followed.
type Source string

const (
	Auto         Source = "auto"         // ask the server
	ChangeStream Source = "changestream" // replica sets, sharded clusters, Atlas
	Capped       Source = "capped"       // a standalone mongod
)

// ErrFerretDB is for a FerretDB of its own, which keeps no log that could be
// followed.
var ErrFerretDB = errors.New("the server is a FerretDB, whose changes cannot be followed: use MongoDB, or give no URI for the embedded database")

// Detect asks the server what it can do. It fails when the server cannot be
// reached within the client's server selection timeout.
func Detect(ctx context.Context, client *mongo.Client) (Source, error) {
	admin := client.Database("admin")
	primary := options.RunCmd().SetReadPreference(readpref.PrimaryPreferred())
	hello, err := admin.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}, primary).Raw()
	if code(err) == 59 { // CommandNotFound, before MongoDB 4.4
		hello, err = admin.RunCommand(ctx, bson.D{{Key: "isMaster", Value: 1}}, primary).Raw()
	}
	if err != nil {
		return "", fmt.Errorf("ask the MongoDB server what it is: %w", err)
	}
	if set, _ := hello.Lookup("setName").StringValueOK(); set != "" {
		return ChangeStream, nil
	}
	if msg, _ := hello.Lookup("msg").StringValueOK(); msg == "isdbgrid" { // mongos
		return ChangeStream, nil
	}
	build, err := admin.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}, primary).Raw()
	if err == nil && (build.Lookup("ferretdb").Type != 0 || build.Lookup("ferretdbVersion").Type != 0) {
		return "", ErrFerretDB
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
