package mongotest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/FerretDB/wire"
	"github.com/FerretDB/wire/wirebson"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A conn is one connection of a client, with one of its own to the database
// behind, opened when it is needed.
type conn struct {
	s      *Server
	client net.Conn
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	mu       sync.Mutex
	upstream net.Conn
	closed   bool
	reader   *bufio.Reader // of upstream
	writer   *bufio.Writer
	requests int32
}

func (c *conn) close() {
	c.cancel()
	c.client.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.upstream != nil {
		c.upstream.Close()
	}
}

func (c *conn) serve() {
	reader, writer := bufio.NewReader(c.client), bufio.NewWriter(c.client)
	for {
		header, body, err := wire.ReadMessage(reader)
		if err != nil {
			return
		}
		var reply wire.MsgBody
		code := wire.OpCodeMsg
		switch body := body.(type) {
		case *wire.OpMsg:
			cmd, err := parse(body)
			if err != nil {
				return
			}
			doc, drop := c.s.handle(c, cmd)
			if drop {
				return
			}
			if body.Flags.FlagSet(wire.OpMsgMoreToCome) {
				continue
			}
			if reply, err = wire.NewOpMsg(wirebson.RawDocument(encode(doc))); err != nil {
				return
			}
		case *wire.OpQuery: // only the first hello of a connection
			code = wire.OpCodeReply
			doc, drop := c.s.handle(c, command{name: "hello", db: "admin"})
			if drop {
				return
			}
			decoded, err := wirebson.RawDocument(encode(doc)).DecodeDeep()
			if err != nil {
				return
			}
			if reply, err = wire.NewOpReply(decoded); err != nil {
				return
			}
		default:
			return
		}
		if err := send(writer, reply, code, header.RequestID); err != nil {
			return
		}
	}
}

func send(w *bufio.Writer, body wire.MsgBody, code wire.OpCode, to int32) error {
	b, err := body.MarshalBinary()
	if err != nil {
		return err
	}
	header := &wire.MsgHeader{MessageLength: int32(len(b) + wire.MsgHeaderLen), RequestID: to, ResponseTo: to, OpCode: code}
	if err := wire.WriteMessage(w, header, body); err != nil {
		return err
	}
	return w.Flush()
}

// forward has the database behind answer a command.
func (c *conn) forward(cmd bson.D) (bson.D, error) {
	if err := c.dial(); err != nil {
		return nil, err
	}
	msg, err := wire.NewOpMsg(wirebson.RawDocument(encode(cmd)))
	if err != nil {
		return nil, err
	}
	c.requests++
	if err := send(c.writer, msg, wire.OpCodeMsg, c.requests); err != nil {
		return nil, err
	}
	_, body, err := wire.ReadMessage(c.reader)
	if err != nil {
		return nil, err
	}
	answer, ok := body.(*wire.OpMsg)
	if !ok {
		return nil, errors.New("the database answered with something else than OP_MSG")
	}
	return elements(bson.Raw(bytes.Clone(answer.RawSection0())))
}

func (c *conn) dial() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if c.upstream != nil {
		return nil
	}
	address := strings.Trim(strings.TrimPrefix(c.s.db.URI(), "mongodb://"), "/")
	upstream, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	c.upstream, c.reader, c.writer = upstream, bufio.NewReader(upstream), bufio.NewWriter(upstream)
	return nil
}

// A command is a request with its document sequences put into its body.
type command struct {
	name string
	db   string
	body bson.D // values are bson.RawValue or, for sequences, bson.A
}

func parse(msg *wire.OpMsg) (command, error) {
	var cmd command
	for _, section := range msg.Sections() {
		switch section.Kind {
		case 0:
			body, err := elements(bson.Raw(bytes.Clone(section.Documents()[0])))
			if err != nil || len(body) == 0 {
				return cmd, errors.Join(errors.New("no command"), err)
			}
			cmd.name = body[0].Key
			cmd.body = append(body, cmd.body...)
		case 1:
			var docs bson.A
			for _, doc := range section.Documents() {
				docs = append(docs, bson.Raw(bytes.Clone(doc)))
			}
			cmd.body = append(cmd.body, bson.E{Key: section.Identifier, Value: docs})
		}
	}
	cmd.db, _ = cmd.get("$db").StringValueOK()
	return cmd, nil
}

// get is the value of a field, zero if it has none.
func (cmd command) get(path ...string) bson.RawValue {
	return bson.Raw(encode(cmd.body)).Lookup(path...)
}

func elements(doc bson.Raw) (bson.D, error) {
	all, err := doc.Elements()
	if err != nil {
		return nil, err
	}
	d := make(bson.D, 0, len(all))
	for _, e := range all {
		d = append(d, bson.E{Key: e.Key(), Value: e.Value()})
	}
	return d, nil
}

// encode cannot fail: what it gets was read or is made here.
func encode(d bson.D) []byte {
	if d == nil {
		d = bson.D{}
	}
	b, err := bson.Marshal(d)
	if err != nil {
		panic(err)
	}
	return b
}
