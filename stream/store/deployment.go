package store

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// A deployment is what kind of server answers.
type deployment struct {
	// clustered says that it is a replica set or a sharded cluster: it has a
	// cluster time, causally consistent reads, and change streams. A
	// standalone mongod and the embedded database have none of these.
	clustered bool
}

// Error codes of servers.
const (
	codeUnauthorized       = 13
	codeNamespaceExists    = 48
	codeIndexOptions       = 85
	codeDocumentValidation = 121

	// "This server does not know how."
	codeCommandNotFound = 59
	codeNotSupported    = 115
	codeNotImplemented  = 238
	codeFeatureMissing  = 303 // other makers' servers that speak the protocol
)

func isNotImplemented(err error) bool {
	return hasCode(err, codeNotImplemented, codeNotSupported, codeCommandNotFound, codeFeatureMissing)
}

func hasCode(err error, codes ...int) bool {
	var server mongo.ServerError
	if !errors.As(err, &server) {
		return false
	}
	for _, code := range codes {
		if server.HasErrorCode(code) {
			return true
		}
	}
	return false
}

// detect asks the server what it is: once, as soon as one answers.
func (s *Store) detect(ctx context.Context) (deployment, error) {
	s.mu.Lock()
	known := s.deployment
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	d, err := hello(ctx, s.db.Client())
	if err != nil {
		return deployment{}, fmt.Errorf("ask the server what it is: %w", err)
	}
	s.mu.Lock()
	s.deployment = &d
	s.mu.Unlock()
	return d, nil
}

func hello(ctx context.Context, client *mongo.Client) (deployment, error) {
	var reply struct {
		SetName string `bson:"setName"`
		Msg     string `bson:"msg"`
	}
	admin := client.Database("admin")
	err := admin.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&reply)
	if hasCode(err, codeCommandNotFound) { // before MongoDB 4.4
		err = admin.RunCommand(ctx, bson.D{{Key: "isMaster", Value: 1}}).Decode(&reply)
	}
	if err != nil {
		return deployment{}, err
	}
	return deployment{clustered: reply.SetName != "" || reply.Msg == "isdbgrid"}, nil
}
