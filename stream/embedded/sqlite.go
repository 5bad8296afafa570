//go:build !noembed

package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver that FerretDB itself uses
)

const extension = ".sqlite"

// largeDatabase is the size of a database's files, in bytes, up to which all
// of its documents fit into one message: as text they are longer than as BSON.
const largeDatabase = 32 << 20

// fileURL is how FerretDB wants its folder: a file URL that ends in a slash.
func fileURL(dir string) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(dir)}).EscapedPath() + "/"
}

// databases are the names of those in a folder.
func databases(dir string) (names []string) {
	files, _ := os.ReadDir(dir)
	for _, file := range files {
		if name, ok := strings.CutSuffix(file.Name(), extension); ok {
			names = append(names, name)
		}
	}
	return names
}

func isEmpty(dir string) bool { return len(databases(dir)) == 0 }

func databaseSize(dir, name string) (size int64) {
	for _, suffix := range []string{extension, extension + "-wal"} {
		if info, err := os.Stat(filepath.Join(dir, name+suffix)); err == nil {
			size += info.Size()
		}
	}
	return size
}

// removeOldLog removes what earlier versions followed: FerretDB's own log of
// writes, which it goes on writing as long as it is there.
func removeOldLog(dir string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(dir, "local"+extension+suffix)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

func indexAllIDs(ctx context.Context, dir string) error {
	for _, name := range databases(dir) {
		if err := indexIDs(ctx, dir, name); err != nil {
			return err
		}
	}
	return nil
}

// indexIDs gives each table of a database an index on _id in the words that
// FerretDB asks in. Its own is on the same field in other words, which SQLite
// takes for another expression: every look-up of an _id would read the whole
// table.
//
// The connection is closed soon: one that outlives a dropDatabase would keep
// that file's write-ahead log alive for the next file of the same name.
func indexIDs(ctx context.Context, dir, name string) error {
	// The files beside it get the permissions of this one.
	if err := os.Chmod(filepath.Join(dir, name+extension), 0o600); err != nil {
		return fmt.Errorf("index the _ids of %s: %w", name, err)
	}
	db, err := sql.Open("sqlite", fileURL(dir)+url.PathEscape(name)+extension+"?mode=rw&_pragma=busy_timeout(10000)")
	if err != nil {
		return fmt.Errorf("index the _ids of %s: %w", name, err)
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT table_name FROM _ferretdb_collections`)
	if err != nil {
		return fmt.Errorf("index the _ids of %s: %w", name, err)
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return fmt.Errorf("index the _ids of %s: %w", name, err)
		}
		tables = append(tables, table)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("index the _ids of %s: %w", name, err)
	}
	for _, table := range tables {
		if _, err := db.ExecContext(ctx, fmt.Sprintf(`CREATE INDEX IF NOT EXISTS %s ON %s (_ferretdb_sjson->'$._id')`, quote(table+"-by-id"), quote(table))); err != nil {
			return fmt.Errorf("index the _ids of %s: %w", name, err)
		}
	}
	return nil
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
