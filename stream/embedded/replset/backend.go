package replset

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"
	"golang.org/x/sync/semaphore"
)

// A backend sends commands to the server behind, on as many connections as
// are wanted at once.
type backend struct {
	dial  func(context.Context) (net.Conn, error)
	slots *semaphore.Weighted
	idle  chan net.Conn
	full  atomic.Bool // the last change did not fit on the disk

	mu      sync.Mutex
	cursors map[int64]*time.Timer // open ones, by id; each timer ends one
}

const (
	// maxBackendConns is how many commands the backend works on at once, each
	// on a connection that is kept: its cursors end with the connection on
	// which they were opened.
	maxBackendConns = 32
	// cursorTimeout is how long a cursor of the backend, which knows no
	// timeout, is kept without being asked for more; as a mongod's.
	cursorTimeout = 10 * time.Minute
	// maxReply is the longest reply that is read from it, in bytes.
	maxReply = 3 * maxMessage
)

func newBackend(dial func(context.Context) (net.Conn, error)) *backend {
	return &backend{dial: dial, slots: semaphore.NewWeighted(maxBackendConns), idle: make(chan net.Conn, maxBackendConns), cursors: make(map[int64]*time.Timer)}
}

func (b *backend) close() {
	b.mu.Lock()
	for _, timer := range b.cursors {
		timer.Stop()
	}
	b.mu.Unlock()
	for {
		select {
		case c := <-b.idle:
			c.Close()
		default:
			return
		}
	}
}

// run has the backend do a command. A reply that says no is an *Error.
func (b *backend) run(ctx context.Context, db string, cmd bson.D) (bson.Raw, error) {
	if err := b.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer b.slots.Release(1)
	var c net.Conn
	select {
	case c = <-b.idle:
	default:
		var err error
		if c, err = b.dial(ctx); err != nil {
			return nil, fmt.Errorf("connect to the database behind: %w", err)
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	reply, err := exchange(c, encode(append(cmd, bson.E{Key: "$db", Value: db})))
	if !stop() || err != nil {
		c.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil { // it closes the connection on what it cannot decode
			return nil, errorf(codeInternal, "the embedded database could not work on %s: %v", cmd[0].Key, err)
		}
	}
	b.idle <- c
	b.expire(ctx, db, reply)
	err = refusal(reply)
	switch cmd[0].Key {
	case "insert", "findAndModify", "delete":
		b.full.Store(isCode(err, codeOutOfDiskSpace))
	}
	return reply, err
}

// expire ends a cursor that stays open when nothing more is asked of it.
func (b *backend) expire(ctx context.Context, db string, reply bson.Raw) {
	id, _ := reply.Lookup("cursor", "id").AsInt64OK()
	ns, _ := reply.Lookup("cursor", "ns").StringValueOK()
	if id == 0 {
		return
	}
	_, coll, _ := strings.Cut(ns, ".")
	b.mu.Lock()
	defer b.mu.Unlock()
	if timer := b.cursors[id]; timer != nil {
		timer.Reset(cursorTimeout)
		return
	}
	b.cursors[id] = time.AfterFunc(cursorTimeout, func() {
		b.mu.Lock()
		delete(b.cursors, id)
		b.mu.Unlock()
		_, _ = b.run(context.WithoutCancel(ctx), db, d("killCursors", coll, "cursors", bson.A{id}))
	})
}

func exchange(c net.Conn, cmd bson.Raw) (bson.Raw, error) {
	if _, err := c.Write(appendMsg(nil, 0, cmd)); err != nil {
		return nil, err
	}
	var head [headerSize]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	length, _, _, opcode, _, _ := wiremessage.ReadHeader(head[:])
	if length < headerSize || length > maxReply || opcode != wiremessage.OpMsg {
		return nil, errMalformed
	}
	b := make([]byte, length-headerSize)
	if _, err := io.ReadFull(c, b); err != nil {
		return nil, err
	}
	_, rem, _ := wiremessage.ReadMsgFlags(b)
	_, rem, _ = wiremessage.ReadMsgSectionType(rem)
	doc, _, ok := wiremessage.ReadMsgSectionSingleDocument(rem)
	if !ok {
		return nil, errMalformed
	}
	return bson.Raw(doc), nil
}
