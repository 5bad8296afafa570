//go:build !noembed

package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	_ "modernc.org/sqlite" // the driver that FerretDB itself uses
)

// fileURL is how FerretDB wants its folder: a file URL that ends in a slash.
func fileURL(dir string) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(dir)}).EscapedPath() + "/"
}

// openLog opens the SQLite file of the log beside FerretDB. It is to be closed
// soon: a connection that outlives a dropDatabase would keep that file's
// write-ahead log alive for the next file of the same name.
func openLog(dir string) (*sql.DB, error) {
	return sql.Open("sqlite", fileURL(dir)+LogDatabase+".sqlite?mode=rw&_pragma=busy_timeout(5000)")
}

// table is the SQLite table that holds the log, empty if there is none.
// FerretDB keeps the names of its tables in one called _ferretdb_collections.
func table(ctx context.Context, log *sql.DB) (string, error) {
	var name string
	err := log.QueryRowContext(ctx, `SELECT table_name FROM _ferretdb_collections WHERE name = ?`, LogCollection).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`, nil
}

// trimBatch is how many entries one statement deletes: the writers wait that
// long, and SQLite allows no more than 32766 parameters.
const trimBatch = 500

// Trim deletes the entries with these ids from the log, and nothing else.
//
// FerretDB itself can delete the oldest entries of a capped collection (the
// command compact), down to a number. That loses what was never read: with
// several writers an entry can be committed after others that count as newer,
// and one insert of many documents can be committed between a reader's last
// look and the command. So exactly what was read is deleted, in SQLite.
func (db *DB) Trim(ctx context.Context, ids []bson.ObjectID) error {
	log, err := openLog(db.dir)
	if err != nil {
		return fmt.Errorf("trim the log of writes: %w", err)
	}
	defer log.Close()
	name, err := table(ctx, log)
	if err != nil {
		return fmt.Errorf("trim the log of writes: %w", err)
	}
	for name != "" && len(ids) > 0 {
		batch := ids[:min(trimBatch, len(ids))]
		ids = ids[len(batch):]
		args := make([]any, len(batch))
		for i, id := range batch {
			args[i] = `"` + id.Hex() + `"` // as FerretDB writes an ObjectID
		}
		// The expression is that of FerretDB's unique index, so the index serves it.
		query := `DELETE FROM ` + name + ` WHERE _ferretdb_sjson->'$._id' IN (?` + strings.Repeat(",?", len(batch)-1) + `)`
		if _, err := log.ExecContext(ctx, query, args...); err != nil {
			return fmt.Errorf("trim the log of writes: %w", err)
		}
	}
	return nil
}

// afterLog waits, within the second, until the clock has passed the newest
// entry of the log. FerretDB numbers the entries of a second from one again
// when it is restarted; a process that starts within the second in which the
// last one died would write positions that are already taken.
func afterLog(ctx context.Context, dir string) error {
	newest, err := newestSecond(ctx, dir)
	if err != nil {
		return fmt.Errorf("embedded database: read the log of writes in %s: %w", dir, err)
	}
	wait := time.Until(time.Unix(newest+1, 0))
	if wait <= 0 || wait > time.Second {
		return nil // long ago, or a clock that was set back, which no wait makes up for
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

// newestSecond is the Unix second of the newest entry, 0 if there is none. The
// record ids of the log are timestamps like its field ts.
func newestSecond(ctx context.Context, dir string) (int64, error) {
	if _, err := os.Stat(filepath.Join(dir, LogDatabase+".sqlite")); err != nil {
		return 0, nil
	}
	log, err := openLog(dir)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	name, err := table(ctx, log)
	if err != nil || name == "" {
		return 0, err
	}
	var newest sql.NullInt64
	err = log.QueryRowContext(ctx, `SELECT max(_ferretdb_record_id) FROM `+name).Scan(&newest)
	return newest.Int64 >> 32, err
}
