package change

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// An EventID is the id: of an event: how far its reader has got in the
// messages of a page. A reader that comes back with one is sent every message
// after it, on any server of the deployment, and none twice.
type EventID struct {
	// At is the tail's position.
	At Position
	// Passed counts the page's messages at exactly At that have been passed
	// on, whether this reader's filter shows them or not. The messages of a
	// transaction share one position, and come in the same order everywhere.
	Passed uint32
}

// String is the form on the wire: PPPPPPPPPPPPPPPP, or PPPPPPPPPPPPPPPP-n
// where n messages at that position have been passed on.
func (id EventID) String() string {
	if id.Passed == 0 {
		return id.At.String()
	}
	return id.At.String() + "-" + strconv.FormatUint(uint64(id.Passed), 10)
}

// Compare is negative when id is older than other, positive when it is newer.
func (id EventID) Compare(other EventID) int {
	return cmp.Or(cmp.Compare(id.At, other.At), cmp.Compare(id.Passed, other.Passed))
}

// Before reports whether id is older than other.
func (id EventID) Before(other EventID) bool { return id.Compare(other) < 0 }

// ParseEventID reads what String writes and nothing else: a client's
// Last-Event-ID is whatever a stranger cares to send.
func ParseEventID(s string) (EventID, error) {
	position, count, counted := strings.Cut(s, "-")
	at, err := ParsePosition(position)
	if err != nil || !counted {
		return EventID{At: at}, err
	}
	n, err := strconv.ParseUint(count, 10, 32)
	id := EventID{At: at, Passed: uint32(n)}
	if err != nil || id.String() != s {
		return EventID{}, fmt.Errorf("event id %.40q: want 16 hexadecimal digits, and a count from 1 after a hyphen or none", s)
	}
	return id, nil
}
