package fanout

import (
	"strconv"
	"time"

	"statustail/stream/change"
)

// appendID appends the id line that goes before the other lines of a frame,
// or nothing for an unknown position.
func appendID(b []byte, id change.Position) []byte {
	if id == 0 {
		return b
	}
	b = append(b, "id: "...)
	b = append(b, id.String()...)
	return append(b, '\n')
}

// join makes one piece of frames, with the id on the last; nothing of nothing.
func join(frames [][]byte, id change.Position) []byte {
	n := 0
	for _, f := range frames {
		n += len(f)
	}
	if n == 0 {
		return nil
	}
	b := make([]byte, 0, n+len("id: \n")+16)
	for i, f := range frames {
		if i == len(frames)-1 {
			b = appendID(b, id)
		}
		b = append(b, f...)
	}
	return b
}

// appendRetry appends a block that sets the client's reconnection delay and
// dispatches nothing.
func appendRetry(b []byte, d time.Duration) []byte {
	b = append(b, "retry: "...)
	b = strconv.AppendInt(b, d.Milliseconds(), 10)
	return append(b, "\n\n"...)
}
