//go:build noembed

package embedded

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Available says whether this build contains the embedded database.
const Available = false

// A DB is a running embedded database; this build has none.
type DB struct{}

// Open fails: the database was left out of this build.
func Open(context.Context, Config) (*DB, error) {
	return nil, errors.New("this build has no embedded database: give --mongodb-uri")
}

// URI is empty.
func (*DB) URI() string { return "" }

// Close does nothing.
func (*DB) Close() error { return nil }

// Wrote never reports anything.
func (*DB) Wrote(context.Context) <-chan struct{} { return nil }

// Trim does nothing.
func (*DB) Trim(context.Context, []bson.ObjectID) error { return nil }
