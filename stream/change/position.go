package change

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A Position is a place in the database's history: a MongoDB cluster time
// with its seconds in the upper half and its increment in the lower. It means
// the same on every server of one deployment. The zero Position is "unknown",
// and older than every other.
type Position uint64

// ErrAhead says that a position lies ahead of the database's own clock, so
// that no read after it will ever be answered. The database is not the one
// that gave it: a new one, or a restored backup.
var ErrAhead = errors.New("the position lies ahead of the database's clock")

// NewPosition makes a position of the two halves of a BSON timestamp.
func NewPosition(seconds, increment uint32) Position {
	return Position(uint64(seconds)<<32 | uint64(increment))
}

// PositionAt is the first position within the second of t.
func PositionAt(t time.Time) Position {
	return NewPosition(uint32(t.Unix()), 0)
}

// Time is the second the position lies in.
func (p Position) Time() time.Time {
	return time.Unix(int64(p>>32), 0).UTC()
}

// Seconds and Increment are the two halves of the BSON timestamp.
func (p Position) Seconds() uint32   { return uint32(p >> 32) }
func (p Position) Increment() uint32 { return uint32(p) }

// MarshalText is String, so that logs in JSON do not round it.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String is 16 lower-case hex digits.
func (p Position) String() string {
	return fmt.Sprintf("%016x", uint64(p))
}

// ParsePosition reads what String writes and nothing else.
func ParsePosition(s string) (Position, error) {
	if len(s) != 16 {
		return 0, fmt.Errorf("position %.20q: want 16 hexadecimal digits", s)
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return 0, fmt.Errorf("position %q: want 16 hexadecimal digits", s)
		}
	}
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("position %q: %w", s, err)
	}
	return Position(n), nil
}
