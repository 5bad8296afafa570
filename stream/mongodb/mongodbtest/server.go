// Package mongodbtest is a server for tests that speaks just enough of
// MongoDB's wire protocol for the real driver to talk to it, records what it
// is asked, and answers by script. What a real server would do with a query is
// not its business.
package mongodbtest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A Script gives the reply to a command, or nil for a harmless one: no
// documents, one document written.
type Script func(name string, command bson.Raw) bson.D

// A Server is a running server.
type Server struct {
	t  testing.TB
	l  net.Listener
	is Config

	mu       sync.Mutex
	commands []bson.Raw
	clock    uint32 // seconds of the cluster time
	conns    []net.Conn
}

// Config is what a server is. Its zero value is a standalone mongod.
type Config struct {
	// Clustered makes it the primary of a replica set, with a cluster time
	// that goes on by a second with each reply.
	Clustered bool
	// NoHello: it knows isMaster only, as before MongoDB 4.4.
	NoHello bool
	// Hello, unless nil, changes what it says of itself.
	Hello func(hello bson.D) bson.D
	// Script, unless nil, answers first.
	Script Script
}

// Start starts a server that ends with the test.
func Start(t testing.TB, cfg Config) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, l: l, is: cfg, clock: 1000}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			go s.serve(conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.conns {
			c.Close()
		}
	})
	return s
}

// Addr is where it listens, host:port.
func (s *Server) Addr() string { return s.l.Addr().String() }

// Client connects the real driver to this server alone.
func (s *Server) Client() *mongo.Client {
	s.t.Helper()
	return Connect(s.t, "mongodb://"+s.Addr()+"/?directConnection=true")
}

// Connect connects the real driver until the test ends.
func Connect(t testing.TB, uri string) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetServerSelectionTimeout(5 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
	return client
}

// Asked are the commands of a name, in order.
func (s *Server) Asked(name string) []bson.Raw {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []bson.Raw
	for _, c := range s.commands {
		if Name(c) == name {
			found = append(found, c)
		}
	}
	return found
}

// Clock is its cluster time, in seconds.
func (s *Server) Clock() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

func (s *Server) serve(conn net.Conn) {
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
			doc := s.reply(readMsg(body))
			reply = append(message(id, opMsg, 5+len(doc)), 0, 0, 0, 0, 0)
			reply = append(reply, doc...)
		case opQuery: // the first words of a driver
			i := 4
			for body[i] != 0 {
				i++
			}
			doc := s.reply(bson.Raw(body[i+1+8:]))
			reply = append(message(id, opReply, 20+len(doc)), make([]byte, 20)...)
			reply[len(reply)-4] = 1 // one document
			reply = append(reply, doc...)
		default:
			s.t.Errorf("the driver sent an unknown message %d", op)
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

// Name is the name of a command.
func Name(command bson.Raw) string {
	elements, _ := command.Elements()
	if len(elements) == 0 {
		return ""
	}
	return elements[0].Key()
}

func (s *Server) reply(command bson.Raw) []byte {
	name := Name(command)
	var reply bson.D
	if name == "hello" || name == "isMaster" || name == "ismaster" {
		if reply = s.hello(); s.is.NoHello && name == "hello" {
			reply = Failure(59, "CommandNotFound", "no such command: 'hello'")
		}
	} else {
		s.mu.Lock()
		s.commands = append(s.commands, command)
		s.mu.Unlock()
		if s.is.Script != nil {
			reply = s.is.Script(name, command)
		}
		if reply == nil {
			reply = defaultReply(name, command)
		}
	}
	if reply[0].Key != "ok" {
		reply = append(bson.D{{Key: "ok", Value: 1.0}}, reply...)
	}
	if s.is.Clustered {
		s.mu.Lock()
		s.clock++
		ts := bson.Timestamp{T: s.clock, I: 1}
		s.mu.Unlock()
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

func (s *Server) hello() bson.D {
	h := bson.D{
		{Key: "isWritablePrimary", Value: true}, {Key: "ismaster", Value: true},
		{Key: "maxBsonObjectSize", Value: 16 << 20}, {Key: "maxMessageSizeBytes", Value: 48000000},
		{Key: "maxWriteBatchSize", Value: 100000}, {Key: "localTime", Value: time.Now()},
		{Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 21},
		{Key: "logicalSessionTimeoutMinutes", Value: 30}, {Key: "readOnly", Value: false},
	}
	if s.is.Clustered {
		h = append(h, bson.E{Key: "setName", Value: "rs0"},
			bson.E{Key: "hosts", Value: bson.A{s.Addr()}}, bson.E{Key: "me", Value: s.Addr()})
	}
	if s.is.Hello != nil {
		h = s.is.Hello(h)
	}
	return h
}

func defaultReply(name string, command bson.Raw) bson.D {
	switch name {
	case "find", "aggregate":
		return Cursor("statustail." + command.Lookup(name).StringValue())
	case "listIndexes":
		return Cursor("statustail." + command.Lookup(name).StringValue())
	case "listCollections":
		return Cursor("statustail.$cmd.listCollections")
	case "insert":
		return bson.D{{Key: "n", Value: 1}}
	case "update":
		return bson.D{{Key: "n", Value: 1}, {Key: "nModified", Value: 1}}
	case "createIndexes":
		return bson.D{{Key: "numIndexesAfter", Value: 2}}
	}
	return bson.D{{Key: "ok", Value: 1.0}}
}

// Cursor is the reply to a query that finds these documents.
func Cursor(ns string, docs ...any) bson.D {
	return bson.D{{Key: "cursor", Value: bson.D{
		{Key: "firstBatch", Value: append(bson.A{}, docs...)}, {Key: "id", Value: int64(0)}, {Key: "ns", Value: ns},
	}}}
}

// Failure is the reply to what a server refuses.
func Failure(code int, name, text string) bson.D {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: text}, {Key: "code", Value: code}, {Key: "codeName", Value: name}}
}

// At digs a value out of a command and shows it.
func At(command bson.Raw, path ...string) string {
	v, err := command.LookupErr(path...)
	if err != nil {
		return "missing"
	}
	return fmt.Sprint(v)
}
