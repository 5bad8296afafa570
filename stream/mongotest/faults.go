package mongotest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// faults is what is wrong with the server at the moment.
type faults struct {
	delay       time.Duration
	secondary   bool
	closing     bool
	term        int
	split       bool
	sameTime    bool
	forgotten   timestamp // tokens up to here are unknown
	lostReplies int
	denied      string // action
	failing     []failing
}

type failing struct {
	command string
	times   int
	reply   bson.D
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

// interrupt is what a command that waits is ended with.
func (f *faults) interrupt() bson.D {
	switch {
	case f.closing:
		return failure(91, "ShutdownInProgress", "The server is in quiesce mode and will shut down", "RetryableWriteError", "ResumableChangeStreamError")
	case f.secondary:
		return failure(11602, "InterruptedDueToReplStateChange", "operation was interrupted", "RetryableWriteError", "ResumableChangeStreamError")
	}
	return nil
}

// reply is the fault that a command meets at its start.
func (f *faults) reply(cmd command) bson.D {
	hello := cmd.name == "hello" || strings.EqualFold(cmd.name, "isMaster")
	if hello {
		return nil
	}
	for i := range f.failing {
		if fail := &f.failing[i]; fail.times > 0 && fail.command == cmd.name {
			fail.times--
			return append(bson.D(nil), fail.reply...)
		}
	}
	switch {
	case f.closing:
		return f.interrupt()
	case f.secondary && cmd.name != "ping" && cmd.name != "endSessions" && cmd.name != "killCursors" && cmd.name != "buildInfo":
		return failure(10107, "NotWritablePrimary", "not primary", "RetryableWriteError", "ResumableChangeStreamError")
	case f.denied == "changeStream" && cmd.name == "aggregate" && cmd.get("pipeline", "0", "$changeStream").Type != 0,
		f.denied == "find" && (cmd.name == "aggregate" || cmd.name == "find"):
		return failure(13, "Unauthorized", fmt.Sprintf("not authorized on %s to execute command { %s: 1 }", cmd.db, cmd.name))
	}
	return nil
}

// set changes what is wrong, and wakes who waits.
func (s *Server) set(change func(f *faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.faults)
	s.notify()
}

// Cut closes every connection; new ones are accepted.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut()
}

// Down closes the port and every connection, until Up.
func (s *Server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	s.cut()
}

// Up opens the port again.
func (s *Server) Up() error {
	s.mu.Lock()
	up, address := s.listener != nil, s.address
	s.mu.Unlock()
	if up {
		return nil
	}
	return s.listen(address)
}

// KillCursors kills the cursors of every change stream, and the tailable ones:
// CursorNotFound (43) follows.
func (s *Server) KillCursors() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.cursors)
	clear(s.tailables)
	s.notify()
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
// fails with ChangeStreamHistoryLost (286), and so does whoever resumes.
func (s *Server) LoseHistory() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.next()
	s.log.trim(len(s.log.entries))
	s.log.floor = s.clock
	for _, c := range s.cursors {
		c.dead = "Executor error during getMore :: caused by :: Resume of change stream was not possible, as the resume point may no longer be in the oplog."
	}
	s.notify()
}

// ForgetTokens makes every token given out so far unknown:
// ChangeStreamFatalError (280) for whoever resumes. The cursors are killed.
func (s *Server) ForgetTokens() {
	s.set(func(f *faults) { f.forgotten = s.clock })
	s.KillCursors()
}

// Slow delays every reply but those to hello; 0 ends it.
func (s *Server) Slow(d time.Duration) { s.set(func(f *faults) { f.delay = d }) }

// SameTime gives all changes of one command the same cluster time, as those of
// a transaction have.
func (s *Server) SameTime(on bool) { s.set(func(f *faults) { f.sameTime = on }) }

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
		f.failing = append(f.failing, failing{command, times, failure(code, name, message, labels...)})
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
