package tail

import (
	"encoding/binary"
	"encoding/hex"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/change"
)

// errForeignToken is for a server whose tokens are of another form: without
// their times a server would never know that it has caught up.
var errForeignToken = errors.New("the server's change stream gives resume tokens without a cluster time, which MongoDB has had in them since 4.2: it is another product, or too old, and cannot be followed")

// tokenPosition is the cluster time inside a resume token, 0 if it has none.
//
// Tokens are opaque by contract, but a quiet stream says in no other way where
// it stands. Since MongoDB 4.2 the field _data is hexadecimal text in the
// KeyString encoding, which begins with the time: the byte 82 for "timestamp",
// then eight bytes, seconds first.
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
