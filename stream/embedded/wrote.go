//go:build !noembed

package embedded

import (
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// lookEvery is how often the files are looked at, and so how long a write
// may stay unnoticed. One look costs some microseconds.
const lookEvery = 25 * time.Millisecond

// Wrote returns a channel that has a value whenever something was committed,
// by any client, since the last one was taken; it is the cheap way to know
// when to read the log. Values are not lost, only merged. A value may also
// come for nothing. It ends with ctx; the channel is not closed.
//
// The sign is the header of SQLite's wal-index (the file *.sqlite-shm): it
// holds a counter that goes up when a commit becomes visible, neither before
// nor without it, which the times and sizes of the files do not promise. See
// "The WAL-Index Header" in https://www.sqlite.org/walformat.html.
func (db *DB) Wrote(ctx context.Context) <-chan struct{} {
	wrote := make(chan struct{}, 1)
	seen := db.commits()
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-db.done:
				return
			case <-tick.C:
			}
			now := db.commits()
			if maps.Equal(now, seen) {
				continue
			}
			seen = now
			select {
			case wrote <- struct{}{}:
			default:
			}
		}
	}()
	return wrote
}

// walIndexHeader is the first of the two copies of the header; the second is
// written before it.
type walIndexHeader [48]byte

// commits is the header of each SQLite file's wal-index, by name. A database
// that is dropped or made is a name that goes or comes.
func (db *DB) commits() map[string]walIndexHeader {
	found := make(map[string]walIndexHeader)
	dir, err := os.Open(db.dir)
	if err != nil {
		return found
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return found
	}
	for _, name := range names {
		var header walIndexHeader
		switch {
		case strings.HasSuffix(name, ".sqlite"):
		case strings.HasSuffix(name, ".sqlite-shm"):
			f, err := os.Open(filepath.Join(db.dir, name))
			if err != nil {
				continue
			}
			_, err = io.ReadFull(f, header[:])
			f.Close()
			if err != nil {
				continue
			}
		default:
			continue
		}
		found[name] = header
	}
	return found
}
