//go:build !noembed

package embedded

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// The wire protocol, as far as the gate must know it:
// https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
const (
	headerSize = 16
	maxMessage = 48_000_000 // bytes
	bufferSize = 16 << 10

	opMsg      = 2013
	moreToCome = 1 << 1 // the sender wants no reply
)

// changing are the commands that read before they write. FerretDB takes both
// spellings of the last.
var changing = [][]byte{[]byte("update"), []byte("delete"), []byte("findAndModify"), []byte("findandmodify")}

type header struct {
	length                int
	requestID, responseTo uint32
	changes               bool // a command that must be alone, and is answered
}

// peek reads a message's header, and its command's name where there is one,
// without taking them.
func peek(r *bufio.Reader) (h header, err error) {
	b, err := r.Peek(headerSize)
	if err != nil {
		return h, err
	}
	h = header{
		length:     int(int32(binary.LittleEndian.Uint32(b))),
		requestID:  binary.LittleEndian.Uint32(b[4:]),
		responseTo: binary.LittleEndian.Uint32(b[8:]),
	}
	if h.length < headerSize || h.length > maxMessage {
		return h, errors.New("not a message")
	}
	if binary.LittleEndian.Uint32(b[12:]) != opMsg {
		return h, nil
	}
	// Flags, the kind of the first section (a document), the document's
	// length, the type of its first field, and that field's name: the command.
	const flags, name, longest = headerSize, headerSize + 4 + 1 + 4 + 1, 16
	if b, err = r.Peek(min(h.length, name+longest)); err != nil || len(b) < name {
		return h, err
	}
	if binary.LittleEndian.Uint32(b[flags:])&moreToCome != 0 {
		return h, nil
	}
	command, _, _ := bytes.Cut(b[name:], []byte{0})
	for _, c := range changing {
		h.changes = h.changes || bytes.Equal(command, c)
	}
	return h, nil
}

// pass moves the message that was peeked at.
func pass(to io.Writer, from *bufio.Reader, h header) error {
	_, err := io.CopyN(to, from, int64(h.length))
	return err
}
