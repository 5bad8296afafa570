package tail

import (
	"encoding/binary"
	"encoding/hex"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
)

// tokenPosition is the cluster time inside a resume token, 0 if it has none.
//
// Tokens are opaque by contract, but a quiet stream says in no other way where
// it stands. Since MongoDB 4.2 the field _data is hexadecimal text in the
// KeyString encoding, which begins with the time: the byte 82 for "timestamp",
// then eight bytes, seconds first. A token that looks different only costs
// the progress on a quiet stream.
func tokenPosition(token bson.Raw) change.Position {
	data, ok := token.Lookup("_data").StringValueOK()
	const prefix, digits = "82", 16
	if !ok || len(data) < len(prefix)+digits || data[:len(prefix)] != prefix {
		return 0
	}
	var b [digits / 2]byte
	if _, err := hex.Decode(b[:], []byte(data[len(prefix):len(prefix)+digits])); err != nil {
		return 0
	}
	return change.Position(binary.BigEndian.Uint64(b[:]))
}
