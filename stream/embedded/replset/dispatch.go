package replset

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// commands are the ones that are answered here. Those of reads are passed on
// to the backend; whatever is in neither list is refused by name.
var commands = map[string]func(*Server, context.Context, *Command) (bson.D, error){
	"insert": (*Server).write, "update": (*Server).write, "delete": (*Server).write, "findandmodify": (*Server).write,
	"create": (*Server).define, "drop": (*Server).define, "dropdatabase": (*Server).define, "renamecollection": (*Server).define,
	"createindexes": (*Server).define, "dropindexes": (*Server).define, "collmod": (*Server).define, "compact": (*Server).define,
	"aggregate": (*Server).aggregate, "find": (*Server).read, "getmore": (*Server).more, "killcursors": (*Server).killCursors,
	"buildinfo": (*Server).buildInfo, "appendoplognote": (*Server).appendNote,
	"ping": nothing, "endsessions": nothing, "refreshsessions": nothing, "killsessions": nothing,
	"startsession": (*Server).startSession,
}

// reads change nothing and are passed on as they are.
var reads = map[string]bool{
	"count": true, "distinct": true, "listcollections": true, "listdatabases": true, "listindexes": true,
	"collstats": true, "dbstats": true, "datasize": true, "explain": true, "validate": true,
	"connectionstatus": true, "getcmdlineopts": true, "getlog": true, "getparameter": true, "hostinfo": true,
	"listcommands": true, "serverstatus": true, "whatsmyuri": true, "currentop": true, "getfreemonitoringstatus": true,
}

// private are the fields that are the proxy's business, not the backend's.
var private = map[string]bool{
	"$db": true, "lsid": true, "$clusterTime": true, "readConcern": true, "writeConcern": true, "$readPreference": true,
	"txnNumber": true, "autocommit": true, "startTransaction": true, "stmtId": true, "stmtIds": true, "comment": true,
	"bypassDocumentValidation": true, "bypassEmptyTsReplacement": true, "apiVersion": true, "apiStrict": true, "apiDeprecationErrors": true,
	"hint": true, "allowDiskUse": true, "noCursorTimeout": true, "allowPartialResults": true,
}

// dispatch answers a command.
func (s *Server) dispatch(ctx context.Context, cmd *Command) (bson.D, error) {
	name := strings.ToLower(cmd.Name)
	if name == "hello" || name == "ismaster" {
		return s.stamp(s.hello(cmd)), nil
	}
	if cmd.Get("startTransaction").Type != 0 || cmd.Get("autocommit").Type != 0 {
		return nil, errorf(codeNotImplemented, "the embedded database has no transactions")
	}
	if err := s.checkConcerns(cmd); err != nil {
		return nil, err
	}
	do := commands[name]
	if do == nil && reads[name] {
		do = (*Server).pass
	}
	if do == nil {
		return nil, &Error{Code: 59, Name: "CommandNotFound", Message: "the embedded database has no command " + clip(cmd.Name)}
	}
	reply, err := do(s, ctx, cmd)
	if err != nil {
		if refused := (*Error)(nil); !errors.As(err, &refused) && ctx.Err() == nil {
			err = errorf(codeInternal, "%s: %v", cmd.Name, err)
		}
		return nil, err
	}
	return s.stamp(s.concern(cmd, reply)), nil
}

func nothing(*Server, context.Context, *Command) (bson.D, error) { return ok(), nil }

func (s *Server) startSession(context.Context, *Command) (bson.D, error) {
	id := bson.NewObjectID() // unique as a UUID's first bytes are
	data := append(id[:], 0x40, 0x80, 0, 0)
	return ok("id", d("id", bson.Binary{Subtype: bson.TypeBinaryUUID, Data: data}), "timeoutMinutes", int32(30)), nil
}

// checkConcerns refuses what cannot be promised. A read after a time that has
// been reached needs no waiting: what is in the log is in the backend.
func (s *Server) checkConcerns(cmd *Command) error {
	switch level, _ := cmd.Get("readConcern", "level").StringValueOK(); level {
	case "", "local", "available", "majority", "linearizable":
	default:
		return errorf(codeNotImplemented, "the embedded database has no read concern %s", clip(level))
	}
	if t, i, ok := cmd.Get("readConcern", "afterClusterTime").TimestampOK(); ok {
		if now, after := s.log.now(), (bson.Timestamp{T: t, I: i}); now.Before(after) {
			return errorf(codeInvalidOptions, "readConcern afterClusterTime value must not be greater than the current clusterTime. "+
				"Requested clusterTime: { ts: Timestamp(%d, %d) }; current clusterTime: { ts: Timestamp(%d, %d) }", t, i, now.T, now.I)
		}
	}
	return nil
}

// concern says so where a write asks for more members than there are.
func (s *Server) concern(cmd *Command, reply bson.D) bson.D {
	if w, ok := cmd.Get("writeConcern", "w").AsInt64OK(); ok && w > 1 {
		reply = append(reply, d("writeConcernError", d("code", int32(codeUnsatisfiableConcern),
			"codeName", codeNames[codeUnsatisfiableConcern], "errmsg", "Not enough data-bearing nodes"))...)
	}
	return reply
}

// setName is the name of the replica set.
const setName = "statustail"

// hello tells a client that this is the primary and only member.
func (s *Server) hello(cmd *Command) bson.D {
	now := s.log.now()
	optime, date := d("ts", now, "t", int64(1)), time.Unix(int64(now.T), 0)
	primary := "isWritablePrimary"
	if cmd.Name != "hello" {
		primary = "ismaster"
	}
	return ok("helloOk", true, "hosts", bson.A{s.name}, "setName", setName, "setVersion", int32(1),
		primary, true, "secondary", false, "primary", s.name, "me", s.name, "electionId", bson.ObjectID{0x7f, 0xff, 0xff, 0xff, 11: 1},
		"lastWrite", d("opTime", optime, "lastWriteDate", date, "majorityOpTime", optime, "majorityWriteDate", date),
		"maxBsonObjectSize", int32(maxDocument), "maxMessageSizeBytes", int32(maxMessage), "maxWriteBatchSize", int32(maxStatements),
		"localTime", time.Now(), "logicalSessionTimeoutMinutes", int32(30), "connectionId", int32(1),
		"minWireVersion", int32(0), "maxWireVersion", int32(wireVersion), "readOnly", false)
}

// The version of MongoDB that drivers are to take this for, and its wire
// version: the newest one that has nothing which is missing here.
const (
	version     = "7.0.0"
	wireVersion = 21
)

func (s *Server) buildInfo(context.Context, *Command) (bson.D, error) {
	return ok("version", version, "versionArray", bson.A{int32(7), int32(0), int32(0), int32(0)}, "gitVersion", "statustail",
		"modules", bson.A{"statustail"}, "bits", int32(64), "debug", false, "maxBsonObjectSize", int32(maxDocument)), nil
}

// appendNote advances the clock, as the command of that name does.
func (s *Server) appendNote(context.Context, *Command) (bson.D, error) { return ok(), s.log.tick(0) }

// stamp adds what a member of a replica set adds to every reply.
func (s *Server) stamp(reply bson.D) bson.D {
	now := s.log.now()
	signature := d("hash", bson.Binary{Data: make([]byte, 20)}, "keyId", int64(0))
	return append(reply, d("$clusterTime", d("clusterTime", now, "signature", signature), "operationTime", now)...)
}

// stripped is the command as the backend is to have it.
func (cmd *Command) stripped() bson.D {
	elements, _ := cmd.Body.Elements()
	doc := make(bson.D, 0, len(elements))
	for _, e := range elements {
		if !private[e.Key()] {
			doc = append(doc, bson.E{Key: e.Key(), Value: e.Value()})
		}
	}
	for name, docs := range cmd.sequences {
		doc = append(doc, bson.E{Key: name, Value: docs})
	}
	return doc
}

// pass has the backend answer.
func (s *Server) pass(ctx context.Context, cmd *Command) (bson.D, error) {
	reply, err := s.backend.run(ctx, cmd.DB, cmd.stripped())
	return elements(reply), err
}

func elements(raw bson.Raw) bson.D {
	all, _ := raw.Elements()
	doc := make(bson.D, len(all))
	for i, e := range all {
		doc[i] = bson.E{Key: e.Key(), Value: e.Value()}
	}
	return doc
}
