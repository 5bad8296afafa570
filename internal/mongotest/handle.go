package mongotest

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/embedded/replset"
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

func (s *Server) record(cmd *replset.Command) {
	if len(s.commands) >= maxCommands {
		s.commands = append([]Command(nil), s.commands[maxCommands/2:]...)
	}
	s.commands = append(s.commands, Command{Name: cmd.Name, DB: cmd.DB, Body: append(bson.Raw(nil), cmd.Body...), At: time.Now()})
}

// errCut closes a client's connection instead of answering.
var errCut = errors.New("the reply is lost")

// handle answers a command as the faults of the moment would have it.
func (s *Server) handle(ctx context.Context, cmd *replset.Command) (bson.D, error) {
	hello := cmd.Name == "hello" || strings.EqualFold(cmd.Name, "isMaster")
	s.mu.Lock()
	if !hello {
		s.record(cmd)
	}
	delay, split, fault := s.faults.delay, s.faults.split, s.faults.reply(cmd)
	s.mu.Unlock()
	switch {
	case hello:
		reply, err := s.next(ctx, cmd)
		return s.hello(reply), err
	case delay > 0 && !pause(s.ctx, delay):
		return nil, errCut
	case fault != nil:
		return nil, fault
	}
	if split && (cmd.Name == "aggregate" || cmd.Name == "getMore") {
		var err error
		if cmd, err = oneByOne(cmd); err != nil {
			return nil, err
		}
	}
	reply, err := s.do(ctx, cmd)
	if s.cfg.Standalone {
		reply = without(reply, "$clusterTime", "operationTime")
	}
	return reply, err
}

func (s *Server) do(ctx context.Context, cmd *replset.Command) (bson.D, error) {
	id, _ := cmd.Get("getMore").AsInt64OK()
	tailable, _ := cmd.Get("tailable").BooleanOK()
	switch {
	case isChangeStream(cmd) && s.cfg.Standalone:
		return nil, &replset.Error{Code: 40573, Name: "Location40573", Message: "The $changeStream stage is only supported on replica sets"}
	case isChangeStream(cmd):
		reply, err := s.next(ctx, cmd)
		s.track(reply)
		return reply, err
	case cmd.Name == "find" && tailable:
		return s.findTailable(ctx, cmd)
	case cmd.Name == "getMore" && s.tailable(id) != nil:
		return s.getMoreTailable(ctx, cmd, id)
	case cmd.Name == "getMore":
		return s.getMore(ctx, cmd)
	case cmd.Name == "killCursors":
		s.untrack(cmd)
		return s.next(ctx, cmd)
	}
	reply, err := s.next(ctx, cmd)
	if writes[cmd.Name] {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wake()
		if cmd.Get("txnNumber").Type != 0 && s.faults.lostReplies > 0 {
			s.faults.lostReplies--
			return nil, errCut
		}
	}
	return reply, err
}

// writes are the commands after which tailable cursors look again.
var writes = map[string]bool{
	"insert": true, "update": true, "delete": true, "findAndModify": true, "findandmodify": true,
	"create": true, "drop": true, "dropDatabase": true, "renameCollection": true,
}

func isChangeStream(cmd *replset.Command) bool {
	return cmd.Name == "aggregate" && cmd.Get("pipeline", "0", "$changeStream").Type != 0
}

// getMore waits as long as nothing interrupts it.
func (s *Server) getMore(ctx context.Context, cmd *replset.Command) (bson.D, error) {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	s.mu.Lock()
	interrupted := s.faults.interrupted()
	s.mu.Unlock()
	stopWatching := context.AfterFunc(interrupted, stop)
	defer stopWatching()
	reply, err := s.next(waiting, cmd)
	s.mu.Lock()
	defer s.mu.Unlock()
	if fault := s.faults.interrupt(); fault != nil {
		return nil, fault
	}
	return reply, err
}

// hello is the member's, as it is at the moment.
func (s *Server) hello(reply bson.D) bson.D {
	if s.cfg.Standalone {
		return without(reply, "hosts", "setName", "setVersion", "secondary", "primary", "me", "electionId", "lastWrite", "$clusterTime", "operationTime")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range reply {
		switch {
		case e.Key == "electionId":
			reply[i].Value = s.faults.electionID()
		case s.faults.secondary && (e.Key == "isWritablePrimary" || e.Key == "ismaster"):
			reply[i].Value = false
		case e.Key == "secondary":
			reply[i].Value = s.faults.secondary
		}
	}
	if s.faults.secondary {
		return without(reply, "primary", "electionId")
	}
	return reply
}

func without(doc bson.D, fields ...string) bson.D {
	out := make(bson.D, 0, len(doc))
next:
	for _, e := range doc {
		for _, field := range fields {
			if e.Key == field {
				continue next
			}
		}
		out = append(out, e)
	}
	return out
}

// oneByOne is the command with a batch size of one.
func oneByOne(cmd *replset.Command) (*replset.Command, error) {
	fields, err := cmd.Body.Elements()
	if err != nil {
		return nil, err
	}
	body := bson.D{}
	for _, f := range fields {
		if f.Key() != "cursor" && f.Key() != "batchSize" {
			body = append(body, bson.E{Key: f.Key(), Value: f.Value()})
		}
	}
	if cmd.Name == "aggregate" {
		body = append(body, bson.E{Key: "cursor", Value: bson.D{{Key: "batchSize", Value: 1}}})
	} else {
		body = append(body, bson.E{Key: "batchSize", Value: 1})
	}
	raw, err := bson.Marshal(body)
	if err != nil {
		return nil, err
	}
	return replset.NewCommand(cmd.DB, raw)
}

// track remembers the cursor of a change stream that was opened.
func (s *Server) track(reply bson.D) {
	raw, err := bson.Marshal(reply)
	if err != nil {
		return
	}
	if id, ok := bson.Raw(raw).Lookup("cursor", "id").AsInt64OK(); ok && id != 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.streams[id] = struct{}{}
	}
}

func (s *Server) untrack(cmd *replset.Command) {
	ids, _ := cmd.Get("cursors").Array().Values()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range ids {
		id, _ := v.AsInt64OK()
		delete(s.streams, id)
		delete(s.tailables, id)
	}
}
