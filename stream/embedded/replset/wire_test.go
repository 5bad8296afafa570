package replset

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"
)

// nested is a command with documents nested so deep.
func nested(depth int) bson.Raw {
	body := make([]byte, 0, depth*8)
	for i := range depth {
		size := make([]byte, 4)
		binary.LittleEndian.PutUint32(size, uint32(8*(depth-i)+5-8+8))
		body = append(append(body, size...), 0x03, 'a', 0)
	}
	body = append(body, 5, 0, 0, 0, 0)
	return append(body, bytes.Repeat([]byte{0}, depth)...)
}

func TestDepth(t *testing.T) {
	fine, err := NewCommand("db", nested(maxDepth-2))
	if err != nil || fine.Name != "a" {
		t.Errorf("%v", err)
	}
	for _, depth := range []int{maxDepth + 1, 3_000_000} {
		if _, err := NewCommand("db", nested(depth)); err == nil || !strings.Contains(err.Error(), "nested deeper than 200") {
			t.Errorf("%d deep: %v", depth, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, doc := range []bson.D{d("ping", 1, "$db", "admin"), d("insert", "c", "documents", bson.A{d("a", 1, "b", bson.A{1.5, "x", nil})}, "$db", "d")} {
		f.Add(appendMsg(nil, 0, encode(doc))[headerSize:], int32(wiremessage.OpMsg))
	}
	f.Add([]byte("\x00\x00\x00\x00admin.$cmd\x00\x00\x00\x00\x00\xff\xff\xff\xff"+string(encode(d("isMaster", 1)))), int32(opQuery))
	f.Add(append([]byte{0, 0, 0, 0, 0}, nested(300)...), int32(wiremessage.OpMsg))
	f.Fuzz(func(t *testing.T, payload []byte, opcode int32) {
		cmd, err := parse(request{payload: payload, opcode: wiremessage.OpCode(opcode)})
		if err != nil || cmd.invalid != nil {
			return
		}
		// What has passed can be looked at anywhere.
		_ = cmd.Body.String()
		_ = encode(cmd.stripped())
		_, _ = cmd.documents("documents")
		_, _ = parseModification(cmd.Body, "q", "u")
		if pipeline, ok := cmd.Get("pipeline").ArrayOK(); ok {
			values, _ := pipeline.Values()
			for _, v := range values {
				if doc, ok := v.DocumentOK(); ok {
					if s, err := parseStage(doc); err == nil {
						_, _ = s(cmd.Body)
					}
				}
			}
		}
		if m, err := parseMatch(cmd.Body); err == nil {
			m(cmd.Body)
		}
		_, _ = rewrite(cmd.Body, cmd.Body)
		_ = describe(cmd.Body, cmd.Body)
		_ = withID(cmd.Body)
		_ = withEqualities(cmd.Body)
	})
}
