package replset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A journal is the log on disk: BSON documents one after another in two
// files, of which the older one goes when the newer one is full. So it holds
// at least half of what it may, and at most all of it.
type journal struct {
	dir       string
	maxEvents int // of one file
	maxBytes  int64

	file   *os.File
	events int
	bytes  int64
	// broken is set while what could not be written is missing in the file;
	// the next thing that can be is a gap.
	broken bool
	failed error // of the last write, nil if it worked
}

const (
	newerFile = "changes.bson"
	olderFile = "changes.old.bson"
)

// openJournal passes what the files hold to replay. What a process that died
// left half written is cut off.
func openJournal(dir string, maxEvents int, maxBytes int64, replay func(entry)) (*journal, error) {
	j := &journal{dir: dir, maxEvents: max(maxEvents, 1), maxBytes: max(maxBytes, 1)}
	if older, err := os.Open(j.path(olderFile)); err == nil {
		_, _, err = read(older, replay)
		older.Close()
		if err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(j.path(newerFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of changes: %w", err)
	}
	j.file = file
	if j.bytes, j.events, err = read(file, replay); err == nil {
		err = file.Truncate(j.bytes)
	}
	if err == nil {
		_, err = file.Seek(j.bytes, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("read the log of changes %s: %w", file.Name(), err)
	}
	return j, nil
}

func (j *journal) path(name string) string { return filepath.Join(j.dir, name) }

// read reads whole entries, and reports how far they go.
func read(file *os.File, replay func(entry)) (bytes int64, events int, err error) {
	for r := bufio.NewReaderSize(file, 64<<10); ; events++ {
		var e entry
		raw, err := bson.ReadDocument(r)
		if err == nil {
			if err = raw.Validate(); err == nil {
				err = bson.Unmarshal(raw, &e)
			}
		}
		switch failed := (*os.PathError)(nil); {
		case errors.As(err, &failed):
			return bytes, events, err
		case err != nil: // the end, or what is no entry
			return bytes, events, nil
		}
		bytes += int64(len(raw))
		replay(e)
	}
}

// write appends an entry. One that cannot be written leaves a gap.
func (j *journal) write(e *entry) error {
	if j.broken {
		if err := j.put(&entry{At: e.At, Op: opGap}); err != nil {
			return err
		}
		j.broken = false
	}
	if err := j.put(e); err != nil {
		j.broken = e.Op != opIntent
		return err
	}
	if j.events >= j.maxEvents || j.bytes >= j.maxBytes {
		return j.rotate()
	}
	return nil
}

// put writes one entry whole, or not at all.
func (j *journal) put(e *entry) error {
	raw := encode(e)
	n, err := j.file.Write(raw)
	if j.failed = err; err != nil {
		if n > 0 {
			err = errors.Join(err, j.file.Truncate(j.bytes))
			_, _ = j.file.Seek(j.bytes, io.SeekStart)
		}
		return errorf(codeOutOfDiskSpace, "the log of changes cannot be written to: %v", err)
	}
	j.bytes += int64(len(raw))
	j.events++
	return nil
}

func (j *journal) rotate() error {
	err := j.file.Close()
	if err == nil {
		err = os.Rename(j.path(newerFile), j.path(olderFile))
	}
	file, openErr := os.OpenFile(j.path(newerFile), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err = errors.Join(err, openErr); err != nil {
		return errorf(codeOutOfDiskSpace, "the log of changes cannot go on: %v", err)
	}
	j.file, j.events, j.bytes = file, 0, 0
	return nil
}

func (j *journal) close() error { return j.file.Close() }
