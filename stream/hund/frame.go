package hund

import (
	"encoding/json"
	"fmt"
)

// frame is one event of an SSE stream. encoding/json writes no raw line
// break, so that the data is one line and no text can forge a frame.
func frame(name string, data any) []byte {
	return rawFrame(name, marshal(data))
}

func rawFrame(name string, data []byte) []byte {
	out := make([]byte, 0, len("event: \ndata: \n\n")+len(name)+len(data))
	out = append(out, "event: "...)
	out = append(out, name...)
	out = append(out, "\ndata: "...)
	out = append(out, data...)
	return append(out, frameEnd...)
}

var frameEnd = []byte("\n\n")

// marshal encodes what cannot fail: plain structs of strings and numbers.
func marshal(v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return encoded
}
