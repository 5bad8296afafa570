//go:build !noembed

package embedded

import (
	"fmt"
	"os"
	"path/filepath"
)

// lockFolder keeps a second process off the folder: two FerretDBs on one
// SQLite file would each trust a cache of what the other changes. The lock is
// the operating system's, so it is gone with the process that held it; the
// file stays and means nothing.
func lockFolder(dir string) (*os.File, error) {
	name := filepath.Join(dir, "statustail.lock")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embedded database: lock the data folder: %w", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("embedded database: the data folder %s is in use by another process: stop it, or choose another folder with --data (%w)", dir, err)
	}
	return f, nil
}
