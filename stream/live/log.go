package live

import (
	"time"

	"statustail/stream/change"
)

// messageLog holds the newest messages of all pages, occupied or not, so that
// this server can replay them to a subscriber that comes from another one.
// It is bounded by bytes and by age. Not safe for concurrent use.
type messageLog struct {
	maxBytes int
	maxAge   time.Duration

	// coverage is the position from which on the log is complete.
	coverage change.Position
	entries  []*entry // oldest first
	byPage   map[string][]*entry
	bytes    int
}

// An entry is a message with its frame.
type entry struct {
	page   string
	key    string
	frames [][]byte
	at     change.Position
	added  time.Time
	// history is set for what was written before this server began to
	// follow: it is replayed, and never published as new.
	history bool
}

// entryOverhead is roughly what an entry costs beside its frame.
const entryOverhead = 200

func (e *entry) size() int { return len(e.frames[0]) + len(e.key) + entryOverhead }

func newMessageLog(maxBytes int, maxAge time.Duration) *messageLog {
	return &messageLog{maxBytes: maxBytes, maxAge: maxAge, byPage: make(map[string][]*entry)}
}

func (l *messageLog) add(e *entry) {
	l.entries = append(l.entries, e)
	l.byPage[e.page] = append(l.byPage[e.page], e)
	l.bytes += e.size()
	l.trim(e.added)
}

// trim drops what is over the bounds. What goes takes the coverage with it.
func (l *messageLog) trim(now time.Time) {
	n := 0
	for n < len(l.entries) && (l.bytes > l.maxBytes || now.Sub(l.entries[n].added) > l.maxAge) {
		e := l.entries[n]
		l.bytes -= e.size()
		l.coverage = max(l.coverage, e.at+1)
		if rest := l.byPage[e.page][1:]; len(rest) > 0 {
			l.byPage[e.page] = rest
		} else {
			delete(l.byPage, e.page)
		}
		l.entries[n] = nil
		n++
	}
	l.entries = l.entries[n:]
}

func (l *messageLog) of(page string) []*entry { return l.byPage[page] }
