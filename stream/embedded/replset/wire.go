package replset

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"
)

// Limits of the wire protocol, as a mongod announces and enforces them:
// https://www.mongodb.com/docs/manual/reference/limits/
const (
	headerSize  = 16
	maxMessage  = 48_000_000
	maxDocument = 16 << 20
	maxBody     = maxDocument + 16<<10 // of a command, with the document in it
	maxDepth    = 200                  // mongod's own limit
)

// The messages of old, in which clients still say hello: OP_QUERY and OP_REPLY.
const (
	opQuery wiremessage.OpCode = 2004
	opReply wiremessage.OpCode = 1
)

var errMalformed = errors.New("not a message of MongoDB's wire protocol")

// A request is one message of a client.
type request struct {
	id      int32
	opcode  wiremessage.OpCode
	payload []byte // after the header
}

// header reads the lengths of a message, whose first byte is waited for
// without end, and the rest for as long as the deadline allows.
func header(r *bufio.Reader, c net.Conn, deadline time.Duration) (req request, size int, err error) {
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return req, 0, err
	}
	if _, err := r.Peek(1); err != nil {
		return req, 0, err
	}
	if err := c.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		return req, 0, err
	}
	var b [headerSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return req, 0, err
	}
	length, id, _, opcode, _, _ := wiremessage.ReadHeader(b[:])
	if length < headerSize || length > maxMessage {
		return req, 0, errMalformed
	}
	return request{id: id, opcode: opcode}, int(length) - headerSize, nil
}

// answer is the message that carries a reply.
func answer(req request, reply bson.Raw) []byte {
	b := make([]byte, 0, headerSize+20+len(reply))
	if req.opcode != opQuery {
		return appendMsg(b, req.id, reply)
	}
	_, b = wiremessage.AppendHeaderStart(b, wiremessage.NextRequestID(), req.id, opReply)
	b = append(b, make([]byte, 16)...) // flags, a cursor, where it starts
	b = append(binary.LittleEndian.AppendUint32(b, 1), reply...)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return b
}

// appendMsg appends a message of one section.
func appendMsg(b []byte, responseTo int32, doc bson.Raw) []byte {
	start := len(b)
	_, b = wiremessage.AppendHeaderStart(b, wiremessage.NextRequestID(), responseTo, wiremessage.OpMsg)
	b = wiremessage.AppendMsgFlags(b, 0)
	b = append(wiremessage.AppendMsgSectionType(b, wiremessage.SingleDocument), doc...)
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}
