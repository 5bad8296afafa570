package replset

import (
	"container/list"

	"go.mongodb.org/mongo-driver/v2/bson"
)

const (
	// maxSessions is how many sessions' newest retryable writes are
	// remembered; the one unused for longest goes first.
	maxSessions = 10_000
	// maxRemembered bounds the documents in remembered replies, in bytes.
	maxRemembered = 32 << 20
)

// sessions remember what the newest retryable write of each session did, so
// that a driver which lost the reply and sends it again is answered as the
// first time. They do not outlive the process. The write lock guards them.
type sessions struct {
	byID  map[string]*list.Element // of *session
	used  list.List                // the newest first
	bytes int
}

type session struct {
	id     string
	number int64             // the txnNumber
	done   map[int32]outcome // by statement
	bytes  int
}

// An outcome is what one statement did.
type outcome struct {
	n, modified int32
	upserted    bson.RawValue
	reply       bson.D // of a findAndModify
}

// open returns what is remembered of a command's session, nil if the command
// is not retryable.
func (all *sessions) open(cmd *Command) (*session, error) {
	number, retryable := cmd.Get("txnNumber").AsInt64OK()
	id := string(cmd.Get("lsid").Value)
	if !retryable || id == "" {
		return nil, nil
	}
	if all.byID == nil {
		all.byID = make(map[string]*list.Element)
	}
	e := all.byID[id]
	if e == nil {
		e = all.used.PushFront(&session{id: id, number: number})
		all.byID[id] = e
	}
	all.used.MoveToFront(e)
	s := e.Value.(*session)
	switch {
	case number < s.number:
		return nil, errorf(codeTransactionTooOld, "Retryable write with txnNumber %d is prohibited on session, because a newer retryable write with txnNumber %d has already started on this session.", number, s.number)
	case number > s.number:
		all.bytes -= s.bytes
		s.number, s.done, s.bytes = number, nil, 0
	}
	for all.used.Len() > maxSessions || all.bytes > maxRemembered && all.used.Len() > 1 {
		oldest := all.used.Remove(all.used.Back()).(*session)
		delete(all.byID, oldest.id)
		all.bytes -= oldest.bytes
	}
	return s, nil
}

// remember notes what a statement did.
func (all *sessions) remember(s *session, statement int32, o outcome) {
	if s == nil {
		return
	}
	if s.done == nil {
		s.done = make(map[int32]outcome)
	}
	s.done[statement] = o
	if o.reply != nil {
		size := len(encode(o.reply))
		s.bytes += size
		all.bytes += size
	}
}

// recall is what a statement did when it came before.
func (s *session) recall(statement int32) (o outcome, known bool) {
	if s != nil {
		o, known = s.done[statement]
	}
	return o, known
}
