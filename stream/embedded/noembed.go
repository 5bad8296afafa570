//go:build noembed

package embedded

import (
	"context"
	"errors"

	"statustail/stream/embedded/replset"
)

// Available says whether this build contains the embedded database.
const Available = false

// A DB is a running embedded database; this build has none.
type DB struct{ *replset.Server }

// Open fails: the database was left out of this build.
func Open(context.Context, Config) (*DB, error) {
	return nil, errors.New("this build has no embedded database: give --mongodb-uri")
}

// URI is empty.
func (*DB) URI() string { return "" }

// Close does nothing.
func (*DB) Close() error { return nil }
