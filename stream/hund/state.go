package hund

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"statustail/stream/status"
)

// State is the document of state.json: the same as the data of init_event.
func (e Encoder) State(v status.View, now, stale time.Time) []byte {
	return marshal(e.document(v, now, stale))
}

// ETag is an entity tag over State without uptime and streak, which change
// by themselves all the time. It is weak (RFC 9110, 8.8.1): two documents
// with one tag are equivalent, not the same bytes.
func (e Encoder) ETag(v status.View, stale time.Time) string {
	doc := e.document(v, v.At, stale)
	doc.PercentUptime, doc.IncidentFreeStreak = 0, 0
	sum := sha256.Sum256(marshal(doc))
	return `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// marshal encodes what cannot fail: plain structs of strings and numbers.
func marshal(v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return encoded
}
