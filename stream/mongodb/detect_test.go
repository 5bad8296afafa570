package mongodb

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/mongodb/mongodbtest"
)

func with(fields ...bson.E) func(bson.D) bson.D {
	return func(d bson.D) bson.D { return append(d, fields...) }
}

func buildInfo(fields ...bson.E) mongodbtest.Script {
	return func(name string, _ bson.Raw) bson.D {
		if name == "buildInfo" {
			return append(bson.D{{Key: "ok", Value: 1.0}, {Key: "version", Value: "7.0.42"}}, fields...)
		}
		return nil
	}
}

func TestDetect(t *testing.T) {
	docdb := bson.E{Key: "hosts", Value: bson.A{"a.cluster-x.eu-west-1.docdb.amazonaws.com:27017"}}
	for name, c := range map[string]struct {
		cfg  mongodbtest.Config
		want Deployment
		no   string // a word of the refusal
	}{
		"replica set":      {cfg: mongodbtest.Config{Clustered: true}, want: ReplicaSet},
		"before hello":     {cfg: mongodbtest.Config{Clustered: true, NoHello: true}, want: ReplicaSet},
		"mongos":           {cfg: mongodbtest.Config{Hello: with(bson.E{Key: "msg", Value: "isdbgrid"})}, want: Sharded},
		"standalone":       {want: Standalone},
		"FerretDB 1":       {cfg: mongodbtest.Config{Script: buildInfo(bson.E{Key: "ferretdbVersion", Value: "v1.24.0"})}, no: "FerretDB 1"},
		"FerretDB 1 named": {cfg: mongodbtest.Config{Clustered: true, Script: buildInfo(bson.E{Key: "ferretdbVersion", Value: "v1.24.0"})}, no: "FerretDB 1"},
		"FerretDB 2":       {cfg: mongodbtest.Config{Script: buildInfo(bson.E{Key: "ferretdb", Value: bson.D{{Key: "version", Value: "v2.5.0"}}})}, no: "FerretDB 2"},
		"Cosmos DB":        {cfg: mongodbtest.Config{Clustered: true, Script: buildInfo(bson.E{Key: "_t", Value: "BuildInfoResponse"})}, no: "Cosmos DB"},
		"vCore":            {cfg: mongodbtest.Config{Hello: with(bson.E{Key: "msg", Value: "isdbgrid"}, bson.E{Key: "internal", Value: bson.D{{Key: "cosmos_versions", Value: bson.A{"1"}}}})}, no: "Azure"},
		"DocumentDB":       {cfg: mongodbtest.Config{Hello: with(bson.E{Key: "setName", Value: "rs0"}, docdb)}, no: "Amazon DocumentDB"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Detect(t.Context(), mongodbtest.Start(t, c.cfg).Client())
			var unsupported *UnsupportedError
			if c.no == "" {
				if err != nil || got != c.want {
					t.Errorf("got %q, %v, want %q", got, err, c.want)
				}
			} else if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), c.no) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, %v, want a line about %s", got, err, c.no)
			}
		})
	}
}

// A mongod with --replSet is no standalone before rs.initiate() has been
// called, and a replica set afterwards.
func TestDetectWaitsForInitiate(t *testing.T) {
	var initiated atomic.Bool
	s := mongodbtest.Start(t, mongodbtest.Config{Hello: func(hello bson.D) bson.D {
		if initiated.Load() {
			return append(hello, bson.E{Key: "setName", Value: "rs0"})
		}
		return append(hello, bson.E{Key: "isreplicaset", Value: true}, bson.E{Key: "info", Value: "Does not have a valid replica set config"})
	}})
	client := s.Client()
	got, err := Detect(t.Context(), client)
	var unsupported *UnsupportedError
	if !errors.Is(err, ErrUninitiated) || errors.As(err, &unsupported) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q, %v, want it waited for", got, err)
	}
	initiated.Store(true)
	if got, err = Detect(t.Context(), client); err != nil || got != ReplicaSet {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestIsAhead(t *testing.T) {
	refuse := func(text string) error {
		s := mongodbtest.Start(t, mongodbtest.Config{Script: func(name string, _ bson.Raw) bson.D {
			if name == "find" {
				return mongodbtest.Failure(CodeInvalidOptions, "InvalidOptions", text)
			}
			return nil
		}})
		return s.Client().Database("x").Collection("y").FindOne(t.Context(), bson.D{}).Err()
	}
	if err := refuse("readConcern afterClusterTime value must not be greater than the current clusterTime. Requested clusterTime: { ts: Timestamp(2000000000, 1) }; current clusterTime: { ts: Timestamp(1, 1) }"); !IsAhead(err) {
		t.Errorf("not recognised: %v", err)
	}
	if err := refuse("unknown option"); IsAhead(err) {
		t.Errorf("taken for a time ahead: %v", err)
	}
}
