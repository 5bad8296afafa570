package replset

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A token is a place in the log as clients hold it. Its text begins as a
// mongod's does: 82, the cluster time, and what tells a mark between events
// ("high water mark"), which is before all events of its time, from the event
// itself. Instead of ids comes the index among the events of that time.
type token struct {
	at    bson.Timestamp
	kind  byte // mark, event or invalidate
	index uint32
}

const (
	mark = iota
	event
	invalidate
)

func (e *entry) token() token { return token{at: e.At, kind: event, index: e.Index} }

func (t token) before(other token) bool {
	switch {
	case t.at != other.at:
		return t.at.Before(other.at)
	case t.kind == mark || other.kind == mark:
		return t.kind == mark && other.kind != mark
	case t.index != other.index:
		return t.index < other.index
	}
	return t.kind < other.kind // an invalidate comes after what it is due to
}

func (t token) bson() bson.D {
	data := fmt.Sprintf("82%08X%08X", t.at.T, t.at.I)
	switch t.kind {
	case mark:
		data += "2B0229296E04"
	case event:
		data += fmt.Sprintf("2B022C0100296E%08X04", t.index)
	case invalidate:
		data += fmt.Sprintf("2B022C0100296F%08X04", t.index)
	}
	return d("_data", data)
}

// parseToken reads what bson writes. A token of another form is taken as a
// mark at its time.
func parseToken(doc bson.Raw) (t token, ok bool) {
	data, _ := doc.Lookup("_data").StringValueOK()
	if _, err := hex.DecodeString(data); err != nil {
		return t, false
	}
	var rest string
	if _, err := fmt.Sscanf(data, "82%08X%08X%s", &t.at.T, &t.at.I, &rest); err != nil {
		return t, false
	}
	const ofEvent, ofInvalidate = "2B022C0100296E", "2B022C0100296F"
	switch {
	case strings.HasPrefix(rest, ofEvent):
		t.kind = event
	case strings.HasPrefix(rest, ofInvalidate):
		t.kind = invalidate
	default:
		return t, true
	}
	if digits := rest[len(ofEvent):]; len(digits) >= 8 { // a mongod's ends at once, or names a document
		index, _ := strconv.ParseUint(digits[:8], 16, 32)
		t.index = uint32(index)
	}
	return t, true
}
