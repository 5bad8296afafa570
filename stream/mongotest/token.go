package mongotest

import (
	"encoding/hex"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A token is a place in the oplog as clients hold it. Its text begins as a
// real one does: 82, the cluster time, and what tells a mark between events
// ("high water mark"), which is before all events of its time, from the event
// itself; then comes the index within the time instead of ids.
type token struct {
	at    timestamp
	kind  byte // mark, event or invalidate
	index uint32
}

const (
	mark = iota
	event
	invalidate
)

func (e entry) token() token {
	t := token{at: e.at, kind: event, index: e.index}
	if e.operation == "invalidate" {
		t.kind = invalidate
	}
	return t
}

func (t token) before(other token) bool {
	if t.at != other.at {
		return t.at.before(other.at)
	}
	if t.kind == mark || other.kind == mark {
		return t.kind == mark && other.kind != mark
	}
	return t.index < other.index
}

func (t token) bson() bson.D {
	data := fmt.Sprintf("82%08X%08X", t.at.t, t.at.i)
	switch t.kind {
	case mark:
		data += "2B0229296E04"
	case event:
		data += fmt.Sprintf("2B022C0100296E%08X04", t.index)
	case invalidate:
		data += fmt.Sprintf("2B022C0100296F%08X04", t.index)
	}
	return bson.D{{Key: "_data", Value: data}}
}

func parseToken(doc bson.Raw) (t token, ok bool) {
	data, _ := doc.Lookup("_data").StringValueOK()
	if _, err := hex.DecodeString(data); err != nil || len(data) < 18 {
		return t, false
	}
	var rest string
	if _, err := fmt.Sscanf(data, "82%08X%08X%s", &t.at.t, &t.at.i, &rest); err != nil {
		return t, false
	}
	if rest == "2B0229296E04" {
		return t, true
	}
	var letter byte
	if _, err := fmt.Sscanf(rest, "2B022C0100296%c%08X04", &letter, &t.index); err != nil {
		return t, false
	}
	t.kind = event
	if letter == 'F' {
		t.kind = invalidate
	}
	return t, true
}
