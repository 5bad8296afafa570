package mongotest

import (
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A Command is what a client asked for.
type Command struct {
	Name string
	DB   string
	Body bson.Raw
	At   time.Time
}

// maxCommands is how many commands are remembered; the oldest half goes.
const maxCommands = 200_000

// Commands is every command since the start or the last Forget, hello left
// out: with it, read concerns, sessions and their number can be asserted.
func (s *Server) Commands() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Command(nil), s.commands...)
}

// Forget forgets the commands so far.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = nil
}

func (s *Server) record(cmd command) {
	if len(s.commands) >= maxCommands {
		s.commands = append([]Command(nil), s.commands[maxCommands/2:]...)
	}
	s.commands = append(s.commands, Command{Name: cmd.name, DB: cmd.db, Body: encode(cmd.body), At: time.Now()})
}

// writes are the commands that may change something.
var writes = map[string]bool{
	"insert": true, "update": true, "delete": true, "findAndModify": true, "findandmodify": true,
	"create": true, "drop": true, "dropDatabase": true, "renameCollection": true,
	"createIndexes": true, "dropIndexes": true, "collMod": true, "compact": true,
}

// private are the fields that the database behind does not know; it has
// neither sessions nor read and write concerns.
var private = map[string]bool{
	"lsid": true, "$clusterTime": true, "readConcern": true, "writeConcern": true, "$readPreference": true,
	"txnNumber": true, "autocommit": true, "startTransaction": true, "bypassEmptyTsReplacement": true, "comment": true,
}

func (cmd command) stripped() bson.D {
	d := make(bson.D, 0, len(cmd.body))
	for _, e := range cmd.body {
		if !private[e.Key] {
			d = append(d, e)
		}
	}
	return d
}

// handle answers a command; drop has the connection closed instead.
func (s *Server) handle(c *conn, cmd command) (reply bson.D, drop bool) {
	hello := cmd.name == "hello" || strings.EqualFold(cmd.name, "isMaster")
	s.mu.Lock()
	if !hello {
		s.record(cmd)
	}
	delay := s.faults.delay
	fault := s.faults.reply(cmd)
	s.mu.Unlock()
	if delay > 0 && !hello && !pause(c.ctx, delay) {
		return nil, true
	}

	switch {
	case fault != nil:
		reply = fault
	case hello:
		reply = s.hello()
	case cmd.name == "ping", cmd.name == "endSessions", cmd.name == "refreshSessions":
		reply = ok()
	case cmd.name == "buildInfo" || cmd.name == "buildinfo":
		reply = append(bson.D{
			{Key: "version", Value: "7.0.14"}, {Key: "gitVersion", Value: "mongotest"},
			{Key: "versionArray", Value: bson.A{int32(7), int32(0), int32(14), int32(0)}},
			{Key: "maxBsonObjectSize", Value: int32(16 << 20)},
		}, ok()...)
	case cmd.get("startTransaction").Type != 0:
		reply = failure(20, "IllegalOperation", "mongotest has no transactions")
	case cmd.name == "aggregate" && cmd.get("pipeline", "0", "$changeStream").Type != 0:
		reply = s.watch(cmd)
	case cmd.name == "getMore" && s.owns(cmd.get("getMore").AsInt64()):
		reply, drop = s.getMore(c, cmd)
	case cmd.name == "find":
		reply, drop = s.find(c, cmd)
	case cmd.name == "killCursors" && s.killCursors(cmd):
		reply = killed(cmd)
	case writes[cmd.name]:
		reply, drop = s.write(c, cmd)
	default:
		reply, drop = s.read(c, cmd)
	}
	if drop {
		return nil, true
	}
	return s.stamp(reply), false
}

// read forwards what changes nothing, after the time that it asks for. A
// cluster time of the future, which only a no-op could bring about here, is
// brought about.
func (s *Server) read(c *conn, cmd command) (bson.D, bool) {
	if t, i, ok := cmd.get("readConcern", "afterClusterTime").TimestampOK(); ok {
		s.mu.Lock()
		if after := (timestamp{t, i}); s.clock.before(after) {
			s.clock = after
			s.notify()
		}
		s.mu.Unlock()
	}
	reply, err := c.forward(cmd.stripped())
	return reply, err != nil
}

func (s *Server) hello() bson.D {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := bson.D{
		{Key: "helloOk", Value: true},
		{Key: "ismaster", Value: !s.faults.secondary}, {Key: "isWritablePrimary", Value: !s.faults.secondary},
		{Key: "maxBsonObjectSize", Value: int32(16 << 20)}, {Key: "maxMessageSizeBytes", Value: int32(48000000)},
		{Key: "maxWriteBatchSize", Value: int32(100000)}, {Key: "localTime", Value: time.Now()},
		{Key: "logicalSessionTimeoutMinutes", Value: int32(30)}, {Key: "connectionId", Value: int32(1)},
		{Key: "minWireVersion", Value: int32(0)}, {Key: "maxWireVersion", Value: int32(21)}, {Key: "readOnly", Value: false},
	}
	if !s.cfg.Standalone {
		optime := bson.D{{Key: "ts", Value: s.clock.bson()}, {Key: "t", Value: int64(s.faults.term)}}
		date := time.Unix(int64(s.clock.t), 0)
		d = append(d, bson.E{Key: "hosts", Value: bson.A{s.address}}, bson.E{Key: "setName", Value: "rs0"},
			bson.E{Key: "setVersion", Value: int32(1)}, bson.E{Key: "secondary", Value: s.faults.secondary}, bson.E{Key: "me", Value: s.address},
			bson.E{Key: "lastWrite", Value: bson.D{
				{Key: "opTime", Value: optime}, {Key: "lastWriteDate", Value: date},
				{Key: "majorityOpTime", Value: optime}, {Key: "majorityWriteDate", Value: date},
			}})
		if !s.faults.secondary {
			d = append(d, bson.E{Key: "primary", Value: s.address}, bson.E{Key: "electionId", Value: s.faults.electionID()})
		}
	}
	return append(d, ok()...)
}

// stamp adds what a member of a replica set adds to every reply.
func (s *Server) stamp(reply bson.D) bson.D {
	if s.cfg.Standalone {
		return reply
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(reply,
		bson.E{Key: "$clusterTime", Value: bson.D{
			{Key: "clusterTime", Value: s.clock.bson()},
			{Key: "signature", Value: bson.D{{Key: "hash", Value: bson.Binary{Data: make([]byte, 20)}}, {Key: "keyId", Value: int64(0)}}},
		}},
		bson.E{Key: "operationTime", Value: s.clock.bson()})
}

func ok() bson.D { return bson.D{{Key: "ok", Value: 1.0}} }

func failure(code int32, name, message string, labels ...string) bson.D {
	d := bson.D{
		{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: message}, {Key: "code", Value: code}, {Key: "codeName", Value: name},
	}
	if len(labels) > 0 {
		d = append(d, bson.E{Key: "errorLabels", Value: labels})
	}
	return d
}
