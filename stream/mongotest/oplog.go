package mongotest

import (
	"sort"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// An entry is one change in the oplog.
type entry struct {
	at timestamp
	// index counts the entries that share a cluster time.
	index uint32

	operation          string // as in change events, or "noop"
	db, collection     string
	toDB, toCollection string        // of a rename
	id                 bson.RawValue // of the document
	document           bson.Raw      // after an insert, update or replace
}

// An oplog is the newest entries. Their number since the start is their
// place, which stays the same when old ones go.
type oplog struct {
	size    int
	floor   timestamp // everything at or after it is here
	first   int       // the place of entries[0]
	entries []entry
}

func (l *oplog) end() int { return l.first + len(l.entries) }

func (l *oplog) at(place int) entry { return l.entries[place-l.first] }

// after is the first place that is not before the token's.
func (l *oplog) after(tok token) int {
	return l.first + sort.Search(len(l.entries), func(i int) bool { return tok.before(l.entries[i].token()) })
}

// add appends; with more than size entries the older half goes.
func (l *oplog) add(e entry) {
	l.entries = append(l.entries, e)
	if len(l.entries) > l.size {
		l.trim(len(l.entries) / 2)
	}
}

// trim forgets the oldest n entries.
func (l *oplog) trim(n int) {
	if n == 0 {
		return
	}
	gone := l.entries[n-1]
	l.floor = timestamp{gone.at.t, gone.at.i + 1}
	l.first += n
	l.entries = append([]entry(nil), l.entries[n:]...)
}

// append gives entries their cluster times and adds them. The lock is held.
func (s *Server) append(entries []entry, replace bool) {
	for n, e := range entries {
		shared := n > 0 && (s.faults.sameTime || e.operation == "invalidate")
		if !shared {
			s.clock = s.clock.next()
		}
		e.at = s.clock
		if last := len(s.log.entries) - 1; shared && last >= 0 {
			e.index = s.log.entries[last].index + 1
		}
		if replace && e.operation == "update" {
			e.operation = "replace"
		}
		s.log.add(e)
	}
	if len(entries) > 0 {
		s.notify()
	}
}
