package store

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A fakeServer speaks just enough of the wire protocol for the real driver to
// talk to it, records what it is asked, and answers by script. What a real
// server would do with a query is not its business.
type fakeServer struct {
	t       *testing.T
	l       net.Listener
	cluster bool
	noHello bool // as before MongoDB 4.4
	// answer gives the reply to a command, or nil for the default one.
	answer func(name string, command bson.Raw) bson.D

	mu       sync.Mutex
	commands []bson.Raw
	clock    uint32 // seconds of the cluster time
	conns    []net.Conn
}

func startFake(t *testing.T, cluster bool, answer func(name string, command bson.Raw) bson.D) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{t: t, l: l, cluster: cluster, answer: answer, clock: 1000}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, conn)
			f.mu.Unlock()
			go f.serve(conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, c := range f.conns {
			c.Close()
		}
	})
	return f
}

// store connects the real driver.
func (f *fakeServer) store(cfg Config) *Store {
	f.t.Helper()
	client, err := mongo.Connect(options.Client().
		ApplyURI("mongodb://" + f.l.Addr().String() + "/?directConnection=true").
		SetServerSelectionTimeout(5 * time.Second))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = client.Disconnect(f.t.Context()) })
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(f.t.Output(), nil))
	}
	return New(client.Database("statustail"), cfg)
}

// asked are the commands of a name, in order.
func (f *fakeServer) asked(name string) []bson.Raw {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []bson.Raw
	for _, c := range f.commands {
		if commandName(c) == name {
			found = append(found, c)
		}
	}
	return found
}

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

func (f *fakeServer) serve(conn net.Conn) {
	for {
		header := make([]byte, 16)
		if _, err := io.ReadFull(conn, header); err != nil {
			return
		}
		body := make([]byte, int(binary.LittleEndian.Uint32(header))-16)
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		id, op := binary.LittleEndian.Uint32(header[4:]), binary.LittleEndian.Uint32(header[12:])
		var reply []byte
		switch op {
		case opMsg:
			if len(body) > 4 && binary.LittleEndian.Uint32(body)&2 != 0 {
				continue // moreToCome: no reply is wanted
			}
			doc := f.reply(readMsg(body))
			reply = append(message(id, opMsg, 5+len(doc)), 0, 0, 0, 0, 0)
			reply = append(reply, doc...)
		case opQuery: // the first words of a driver
			i := 4
			for body[i] != 0 {
				i++
			}
			doc := f.reply(bson.Raw(body[i+1+8:]))
			reply = append(message(id, opReply, 20+len(doc)), make([]byte, 20)...)
			reply[len(reply)-4] = 1 // one document
			reply = append(reply, doc...)
		default:
			f.t.Errorf("the driver sent an unknown message %d", op)
			return
		}
		if _, err := conn.Write(reply); err != nil {
			return
		}
	}
}

func message(responseTo uint32, op uint32, size int) []byte {
	h := binary.LittleEndian.AppendUint32(nil, uint32(16+size))
	h = binary.LittleEndian.AppendUint32(h, 0)
	h = binary.LittleEndian.AppendUint32(h, responseTo)
	return binary.LittleEndian.AppendUint32(h, op)
}

// readMsg joins the sections of an OP_MSG into one document, as it is before
// a driver takes it apart.
func readMsg(body []byte) bson.Raw {
	var command bson.D
	sequences := bson.D{}
	for rest := body[4:]; len(rest) > 0; {
		kind := rest[0]
		rest = rest[1:]
		size := int(binary.LittleEndian.Uint32(rest))
		section := rest[:size]
		rest = rest[size:]
		if kind == 0 {
			_ = bson.Unmarshal(section, &command)
			continue
		}
		i := 4
		for section[i] != 0 {
			i++
		}
		name, docs := string(section[4:i]), bson.A{}
		for list := section[i+1:]; len(list) > 0; {
			n := int(binary.LittleEndian.Uint32(list))
			docs = append(docs, bson.Raw(list[:n]))
			list = list[n:]
		}
		sequences = append(sequences, bson.E{Key: name, Value: docs})
	}
	raw, _ := bson.Marshal(append(command, sequences...))
	return raw
}

func commandName(command bson.Raw) string {
	elements, _ := command.Elements()
	if len(elements) == 0 {
		return ""
	}
	return elements[0].Key()
}

func (f *fakeServer) reply(command bson.Raw) []byte {
	name := commandName(command)
	var reply bson.D
	if name == "hello" || name == "isMaster" || name == "ismaster" {
		if reply = f.hello(); f.noHello && name == "hello" {
			reply = failure(59, "CommandNotFound", "no such command: 'hello'")
		}
	} else {
		f.mu.Lock()
		f.commands = append(f.commands, command)
		f.mu.Unlock()
		if f.answer != nil {
			reply = f.answer(name, command)
		}
		if reply == nil {
			reply = defaultReply(name, command)
		}
	}
	if reply[0].Key != "ok" {
		reply = append(bson.D{{Key: "ok", Value: 1.0}}, reply...)
	}
	if f.cluster {
		f.mu.Lock()
		f.clock++
		ts := bson.Timestamp{T: f.clock, I: 1}
		f.mu.Unlock()
		reply = append(reply,
			bson.E{Key: "operationTime", Value: ts},
			bson.E{Key: "$clusterTime", Value: bson.D{{Key: "clusterTime", Value: ts}}})
	}
	doc, err := bson.Marshal(reply)
	if err != nil {
		panic(err)
	}
	return doc
}

func (f *fakeServer) hello() bson.D {
	h := bson.D{
		{Key: "isWritablePrimary", Value: true}, {Key: "ismaster", Value: true},
		{Key: "maxBsonObjectSize", Value: 16 << 20}, {Key: "maxMessageSizeBytes", Value: 48000000},
		{Key: "maxWriteBatchSize", Value: 100000}, {Key: "localTime", Value: time.Now()},
		{Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 21},
		{Key: "logicalSessionTimeoutMinutes", Value: 30}, {Key: "readOnly", Value: false},
	}
	if f.cluster {
		h = append(h, bson.E{Key: "setName", Value: "rs0"},
			bson.E{Key: "hosts", Value: bson.A{f.l.Addr().String()}}, bson.E{Key: "me", Value: f.l.Addr().String()})
	}
	return h
}

func defaultReply(name string, command bson.Raw) bson.D {
	switch name {
	case "find", "aggregate":
		return cursorOf("statustail." + command.Lookup(name).StringValue())
	case "listCollections":
		return cursorOf("statustail.$cmd.listCollections")
	case "insert":
		return bson.D{{Key: "n", Value: 1}}
	case "update":
		return bson.D{{Key: "n", Value: 1}, {Key: "nModified", Value: 1}}
	case "createIndexes":
		return bson.D{{Key: "numIndexesAfter", Value: 2}}
	}
	return bson.D{{Key: "ok", Value: 1.0}}
}

func cursorOf(ns string, docs ...any) bson.D {
	return bson.D{{Key: "cursor", Value: bson.D{
		{Key: "firstBatch", Value: append(bson.A{}, docs...)}, {Key: "id", Value: int64(0)}, {Key: "ns", Value: ns},
	}}}
}

func failure(code int, name, text string) bson.D {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: text}, {Key: "code", Value: code}, {Key: "codeName", Value: name}}
}

// at digs a value out of a command and shows it.
func at(command bson.Raw, path ...string) string {
	v, err := command.LookupErr(path...)
	if err != nil {
		return "missing"
	}
	return fmt.Sprint(v)
}
