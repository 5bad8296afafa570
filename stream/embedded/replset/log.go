package replset

import (
	"sort"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// What an entry of the log can be of: the operations of change events, and
// entries that only the log itself knows.
const (
	opInsert       = "insert"
	opUpdate       = "update"
	opReplace      = "replace"
	opDelete       = "delete"
	opDrop         = "drop"
	opRename       = "rename"
	opDropDatabase = "dropDatabase"

	opNoop   = "noop"   // time went on
	opBegin  = "begin"  // the beginning of all history
	opGap    = "gap"    // what was before it is lost
	opIntent = "intent" // what is about to be done; the next entry says that it is over
)

// An entry is one change.
type entry struct {
	At bson.Timestamp `bson:"at"`
	// Index counts the entries that share a cluster time.
	Index uint32 `bson:"index,omitempty"`
	Op    string `bson:"op"`
	DB    string `bson:"db,omitempty"`
	Coll  string `bson:"coll,omitempty"`
	// ToDB and ToColl are the new name of a renamed collection.
	ToDB   string `bson:"toDB,omitempty"`
	ToColl string `bson:"toColl,omitempty"`
	// ID is the _id of the document.
	ID bson.RawValue `bson:"id,omitempty"`
	// Doc is the document that was inserted or put in another's place, or the
	// description of an update.
	Doc bson.Raw `bson:"doc,omitempty"`
	// Will and IDs are, for an intent, the operation and its documents.
	Will string          `bson:"will,omitempty"`
	IDs  []bson.RawValue `bson:"ids,omitempty"`
}

// overhead is about what an entry takes beside its document, in bytes.
const overhead = 256

func (e *entry) size() int64 { return int64(overhead + len(e.ID.Value) + len(e.Doc)) }

// A changeLog is the newest changes, in memory and on disk, and the clock
// that counts them. The number of a change since the start is its place,
// which stays the same when older ones go.
type changeLog struct {
	maxEvents int
	maxBytes  int64

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every change of what is below
	clock   bson.Timestamp
	shared  bool           // the entries of one append share a cluster time
	floor   bson.Timestamp // every change at or after it is here
	first   int            // the place of entries[0]
	entries []entry
	bytes   int64
	disk    *journal
}

// openLog reads the log in a folder, and begins one where there is none.
// Interrupted is what was about to be done when the process before this one
// died, nil if nothing was.
func openLog(dir string, events int, bytes int64, fresh bool) (l *changeLog, interrupted *entry, err error) {
	l = &changeLog{maxEvents: events, maxBytes: bytes, changed: make(chan struct{})}
	known := false
	l.disk, err = openJournal(dir, events/2, bytes/2, func(e entry) {
		switch e.Op {
		case opBegin, opGap:
			l.forgetAll()
			if e.Op == opGap {
				l.floor = e.At
			}
		case opIntent:
			interrupted = &e
			return
		}
		if !known && e.Op != opBegin { // what came before it has been trimmed
			l.floor = bson.Timestamp{T: e.At.T, I: e.At.I + 1}
		}
		known, interrupted = true, nil
		l.clock = e.At
		l.add(e)
	})
	if err != nil {
		return nil, nil, err
	}
	if !known {
		op := opGap
		if fresh {
			op = opBegin
		}
		err = l.begin(op)
	}
	return l, interrupted, err
}

// begin forgets everything, and notes why.
func (l *changeLog) begin(op string) error {
	l.forgetAll()
	l.clock = next(l.clock)
	l.floor = bson.Timestamp{}
	if op == opGap {
		l.floor = l.clock
	}
	return l.disk.write(&entry{At: l.clock, Op: op})
}

// forgetAll leaves a place free, so that no stream stands at the end of what
// is forgotten and goes on as if nothing had happened.
func (l *changeLog) forgetAll() {
	l.first += len(l.entries) + 1
	l.entries, l.bytes = nil, 0
}

func (l *changeLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.disk.close()
}

// next is the cluster time after another: the second and a number within it.
// It never runs back, whatever the machine's clock does.
func next(ts bson.Timestamp) bson.Timestamp {
	if now := uint32(time.Now().Unix()); now > ts.T {
		return bson.Timestamp{T: now, I: 1}
	}
	return bson.Timestamp{T: ts.T, I: ts.I + 1}
}

func (l *changeLog) now() bson.Timestamp {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clock
}

// intend notes what is about to be done, so that a process that comes after
// this one's death can find out whether it was.
func (l *changeLog) intend(e entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.At, e.Will, e.Op = l.clock, e.Op, opIntent
	return l.disk.write(&e)
}

// append gives entries their cluster times and adds them. With none, it only
// notes that what was intended is over.
func (l *changeLog) append(entries ...entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(entries) == 0 {
		return l.disk.write(&entry{At: l.clock, Op: opNoop})
	}
	var err error
	for n, e := range entries {
		if n == 0 || !l.shared {
			l.clock = next(l.clock)
		} else {
			e.Index = uint32(n)
		}
		e.At = l.clock
		l.add(e)
		if err == nil {
			err = l.disk.write(&e)
		}
	}
	l.notify()
	return err
}

// tick advances the clock without a change, as the periodic no-op of a quiet
// replica set does, unless it has advanced within the last seconds anyway.
func (l *changeLog) tick(within uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if uint32(time.Now().Unix()) < l.clock.T+within {
		return nil
	}
	l.clock = next(l.clock)
	l.notify()
	return l.disk.write(&entry{At: l.clock, Op: opNoop})
}

// add adds an entry in memory, and lets the oldest go that are too many.
func (l *changeLog) add(e entry) {
	if e.Op == opNoop || e.Op == opBegin || e.Op == opGap {
		return
	}
	l.entries = append(l.entries, e)
	l.bytes += e.size()
	for len(l.entries) > l.maxEvents || l.bytes > l.maxBytes {
		gone := &l.entries[0]
		l.floor = bson.Timestamp{T: gone.At.T, I: gone.At.I + 1}
		l.bytes -= gone.size()
		*gone = entry{} // its document is free at once
		l.entries = l.entries[1:]
		l.first++
	}
}

// notify wakes what waits for a change; the lock is held.
func (l *changeLog) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// wake has what waits look again.
func (l *changeLog) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notify()
}

func (l *changeLog) forget() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.notify()
	return l.begin(opGap)
}

func (l *changeLog) shareTimes(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shared = on
}

// after is the first place that is not before the token's.
func (l *changeLog) after(t token) int {
	return l.first + sort.Search(len(l.entries), func(i int) bool { return t.before(l.entries[i].token()) })
}

// end is the place of the next change.
func (l *changeLog) end() int { return l.first + len(l.entries) }
