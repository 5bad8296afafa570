package mongodb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// A Deployment is what answers at a client's address.
type Deployment string

const (
	ReplicaSet Deployment = "replica set"
	Sharded    Deployment = "sharded cluster"
	Standalone Deployment = "standalone mongod"
)

// Clustered reports whether the deployment has a cluster time, and with it
// causally consistent reads and change streams. A standalone mongod has none
// of them.
func (d Deployment) Clustered() bool { return d == ReplicaSet || d == Sharded }

// ErrUninitiated is for a mongod that is going to be a member of a replica set
// and has not been told of which. It passes.
var ErrUninitiated = errors.New("this mongod was started with --replSet and belongs to no replica set yet: " +
	"call rs.initiate() in mongosh (or, where that was done, wait for the member to read its configuration)")

// An UnsupportedError is for a server that speaks MongoDB's protocol and is
// none of what Deployment lists. It does not pass.
type UnsupportedError struct {
	// Product is what the server is.
	Product string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("the server is %s, whose changes cannot be followed: "+
		"use MongoDB (a replica set, a sharded cluster or a standalone mongod), or no --mongodb-uri for the embedded database", e.Product)
}

// Detect asks the server what it is. The error is an *UnsupportedError, or
// one that passes: ErrUninitiated, or that no server could be reached within
// the client's server selection timeout. Only an answer is worth keeping.
func Detect(ctx context.Context, client *mongo.Client) (Deployment, error) {
	hello, err := ask(ctx, client, "hello")
	if HasCode(err, CodeCommandNotFound) { // before MongoDB 4.4
		hello, err = ask(ctx, client, "isMaster")
	}
	if err != nil {
		return "", fmt.Errorf("ask the MongoDB server what it is: %w", err)
	}
	build, err := ask(ctx, client, "buildInfo")
	if err != nil && Code(err) == 0 { // a server that knows no buildInfo is none of those that are refused
		return "", fmt.Errorf("ask the MongoDB server what it is: %w", err)
	}
	if product := foreign(hello, build); product != "" {
		return "", &UnsupportedError{Product: product}
	}
	if set, _ := hello.Lookup("setName").StringValueOK(); set != "" {
		return ReplicaSet, nil
	}
	if msg, _ := hello.Lookup("msg").StringValueOK(); msg == "isdbgrid" { // mongos
		return Sharded, nil
	}
	if member, _ := hello.Lookup("isreplicaset").BooleanOK(); member {
		return "", ErrUninitiated
	}
	return Standalone, nil
}

func ask(ctx context.Context, client *mongo.Client, command string) (bson.Raw, error) {
	return client.Database("admin").RunCommand(ctx, bson.D{{Key: command, Value: 1}},
		options.RunCmd().SetReadPreference(readpref.PrimaryPreferred())).Raw()
}

// foreign names the server if it is no MongoDB. Each has fields of its own in
// an answer; Amazon's has none, but all of its members have names under one of
// two domains, as drivers know them, too.
func foreign(hello, build bson.Raw) string {
	switch {
	case has(build, "ferretdb"):
		return "FerretDB 2"
	case has(build, "ferretdbVersion"):
		return "FerretDB 1"
	case has(build, "_t"):
		return "Azure Cosmos DB for MongoDB"
	case has(hello, "internal", "documentdb_versions"), has(hello, "internal", "cosmos_versions"):
		return "DocumentDB on PostgreSQL (Azure's, for one)"
	}
	for _, host := range members(hello) {
		name, _, _ := strings.Cut(host, ":")
		for _, f := range []struct{ domain, product string }{
			{".cosmos.azure.com", "Azure Cosmos DB for MongoDB"},
			{".docdb.amazonaws.com", "Amazon DocumentDB"},
			{".docdb-elastic.amazonaws.com", "Amazon DocumentDB"},
		} {
			if strings.HasSuffix(strings.ToLower(name), f.domain) {
				return f.product
			}
		}
	}
	return ""
}

func has(doc bson.Raw, path ...string) bool {
	_, err := doc.LookupErr(path...)
	return err == nil
}

// members are the addresses that a hello names.
func members(hello bson.Raw) []string {
	var all []string
	if me, ok := hello.Lookup("me").StringValueOK(); ok {
		all = append(all, me)
	}
	if hosts, ok := hello.Lookup("hosts").ArrayOK(); ok {
		values, _ := hosts.Values()
		for _, v := range values {
			if host, ok := v.StringValueOK(); ok {
				all = append(all, host)
			}
		}
	}
	return all
}
