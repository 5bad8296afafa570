package mongotest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/stream/embedded/replset"
)

// faults is what is wrong with the server at the moment.
type faults struct {
	delay       time.Duration
	secondary   bool
	closing     bool
	term        int
	split       bool
	forgotten   bson.Timestamp // tokens up to here are unknown
	lostReplies int
	denied      string // action
	failing     []*failing

	changed context.Context // ends when what waits has to be interrupted
	change  context.CancelFunc
}

type failing struct {
	command string
	times   int
	err     *replset.Error
}

func failure(code int32, name, message string, labels ...string) *replset.Error {
	return &replset.Error{Code: code, Name: name, Message: message, Labels: labels}
}

func (f *faults) electionID() bson.ObjectID {
	var id bson.ObjectID
	id[0] = 0x7f
	for i := 1; i < 4; i++ {
		id[i] = 0xff
	}
	binary.BigEndian.PutUint64(id[4:], uint64(f.term))
	return id
}

// interrupt is what a command that waits is ended with, nil for nothing.
func (f *faults) interrupt() error {
	switch {
	case f.closing:
		return failure(91, "ShutdownInProgress", "The server is in quiesce mode and will shut down", "RetryableWriteError", "ResumableChangeStreamError")
	case f.secondary:
		return failure(11602, "InterruptedDueToReplStateChange", "operation was interrupted", "RetryableWriteError", "ResumableChangeStreamError")
	}
	return nil
}

// interrupted ends with the next change of what is wrong.
func (f *faults) interrupted() context.Context {
	if f.changed == nil || f.changed.Err() != nil {
		f.changed, f.change = context.WithCancel(context.Background())
	}
	return f.changed
}

// reply is the fault that a command meets at its start, nil for none.
func (f *faults) reply(cmd *replset.Command) error {
	for _, fail := range f.failing {
		if fail.times > 0 && fail.command == cmd.Name {
			fail.times--
			return fail.err
		}
	}
	token, _ := cmd.Get("pipeline", "0", "$changeStream", "resumeAfter").DocumentOK()
	if token == nil {
		token, _ = cmd.Get("pipeline", "0", "$changeStream", "startAfter").DocumentOK()
	}
	switch {
	case f.closing:
		return f.interrupt()
	case f.secondary && cmd.Name != "ping" && cmd.Name != "endSessions" && cmd.Name != "killCursors" && cmd.Name != "buildInfo":
		return failure(10107, "NotWritablePrimary", "not primary", "RetryableWriteError", "ResumableChangeStreamError")
	case f.denied == "changeStream" && isChangeStream(cmd), f.denied == "find" && (cmd.Name == "aggregate" || cmd.Name == "find"):
		return failure(13, "Unauthorized", fmt.Sprintf("not authorized on %s to execute command { %s: 1 }", cmd.DB, cmd.Name))
	case token != nil && !f.forgotten.IsZero() && !f.forgotten.Before(tokenTime(token)):
		return failure(280, "ChangeStreamFatalError", "cannot resume stream; the resume token was not found. "+token.String(), "NonResumableChangeStreamError")
	}
	return nil
}

// tokenTime is the cluster time that a token begins with.
func tokenTime(token bson.Raw) (ts bson.Timestamp) {
	data, _ := token.Lookup("_data").StringValueOK()
	if _, err := fmt.Sscanf(data, "82%08X%08X", &ts.T, &ts.I); err != nil && !strings.HasPrefix(data, "82") {
		return bson.Timestamp{}
	}
	return ts
}

// set changes what is wrong, and wakes what waits.
func (s *Server) set(change func(f *faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.faults)
	if s.faults.change != nil && s.faults.interrupt() != nil {
		s.faults.change()
	}
	s.wake()
}

// Cut closes every connection; new ones are accepted.
func (s *Server) Cut() { s.listener.cut() }

// Down closes the port and every connection, until Up.
func (s *Server) Down() { _ = s.listener.down() }

// Up opens the port again.
func (s *Server) Up() error { return s.listener.up() }

// KillCursors kills the cursors of every change stream, and the tailable ones:
// CursorNotFound (43) follows.
func (s *Server) KillCursors() {
	s.mu.Lock()
	ids := bson.A{}
	for id := range s.streams {
		ids = append(ids, id)
	}
	clear(s.streams)
	clear(s.tailables)
	s.wake()
	s.mu.Unlock()
	if len(ids) > 0 {
		_, _ = s.Run(s.ctx, "admin", bson.D{{Key: "killCursors", Value: "$cmd.aggregate"}, {Key: "cursors", Value: ids}})
	}
}

// Streams is how many change streams are open.
func (s *Server) Streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// Noop advances the cluster time without a change, as the periodic no-op of a
// quiet replica set does.
func (s *Server) Noop() {
	_, _ = s.Run(s.ctx, "admin", bson.D{{Key: "appendOplogNote", Value: 1}, {Key: "data", Value: bson.D{}}})
}

// StepDown has the server be a secondary until Elect: what waits is
// interrupted (11602), writes and reads of the primary fail (10107).
func (s *Server) StepDown() { s.set(func(f *faults) { f.secondary = true }) }

// Elect makes the server the primary, of a new term.
func (s *Server) Elect() {
	s.set(func(f *faults) {
		if f.secondary {
			f.secondary = false
			f.term++
		}
	})
}

// ShutDown has every command fail with ShutdownInProgress (91), until
// Restart, which cuts the connections.
func (s *Server) ShutDown() { s.set(func(f *faults) { f.closing = true }) }

// Restart ends ShutDown. Cursors do not survive it.
func (s *Server) Restart() {
	s.Cut()
	s.KillCursors()
	s.set(func(f *faults) { f.closing = false })
}

// LoseHistory empties the oplog, as if it were too small: every open stream
// fails with ChangeStreamHistoryLost (286), and so does resuming one.
func (s *Server) LoseHistory() { _ = s.db.ForgetHistory() }

// ForgetTokens makes every token given out so far unknown:
// ChangeStreamFatalError (280) is what resuming gets. The cursors are killed.
func (s *Server) ForgetTokens() {
	s.set(func(f *faults) { f.forgotten = s.ClusterTime() })
	s.KillCursors()
}

// Slow delays every reply but those to hello; 0 ends it.
func (s *Server) Slow(d time.Duration) { s.set(func(f *faults) { f.delay = d }) }

// SameTime gives all changes of one command the same cluster time, as those of
// a transaction have.
func (s *Server) SameTime(on bool) { s.db.ShareTimes(on) }

// Split puts one event into each batch.
func (s *Server) Split(on bool) { s.set(func(f *faults) { f.split = on }) }

// LoseReplies does the next n writes and cuts their connections instead of
// answering: the driver tries them again.
func (s *Server) LoseReplies(n int) { s.set(func(f *faults) { f.lostReplies = n }) }

// Deny takes the privilege for an action, changeStream or find, from everyone;
// the empty string gives it back.
func (s *Server) Deny(action string) { s.set(func(f *faults) { f.denied = action }) }

// Fail answers the next commands of that name with an error.
func (s *Server) Fail(command string, times int, code int32, name, message string, labels ...string) {
	s.set(func(f *faults) {
		f.failing = append(f.failing, &failing{command, times, failure(code, name, message, labels...)})
	})
}

// Strike does something bad, chosen by r, and returns what; it is over after
// a few ten milliseconds. One caller at a time.
func (s *Server) Strike(r *rand.Rand) string {
	moment := time.Duration(5+r.IntN(40)) * time.Millisecond
	strikes := []struct {
		name string
		do   func()
	}{
		{"cut", s.Cut},
		{"down", func() { s.Down(); pause(s.ctx, moment); _ = s.Up() }},
		{"cursors killed", s.KillCursors},
		{"election", func() { s.StepDown(); pause(s.ctx, moment); s.Elect() }},
		{"shutdown", func() { s.ShutDown(); pause(s.ctx, moment); s.Restart() }},
		{"history lost", s.LoseHistory},
		{"tokens forgotten", s.ForgetTokens},
		{"slow", func() { s.Slow(moment); pause(s.ctx, 4*moment); s.Slow(0) }},
		{"equal times", func() { s.SameTime(true); s.Split(true); pause(s.ctx, 4*moment); s.SameTime(false); s.Split(false) }},
		{"replies lost", func() { s.LoseReplies(1) }},
		{"no-op", s.Noop},
	}
	strike := strikes[r.IntN(len(strikes))]
	strike.do()
	return strike.name
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
