package replset

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A pipeListener accepts connections inside the process, which a bubble's
// clock governs.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// scripted is a server whose backend is a function: nil closes the connection
// instead of answering.
func scripted(t *testing.T, backend func(cmd *Command) bson.D) (s *Server, dial func() net.Conn) {
	t.Helper()
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s, err := Open(t.Context(), Config{
		Listener: l, Dir: t.TempDir(), Fresh: true, Logger: slog.New(slog.DiscardHandler), Stall: 10 * time.Second,
		Dial: func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				for r := bufio.NewReader(theirs); ; {
					req, size, err := header(r, theirs, time.Hour)
					if err != nil {
						return
					}
					req.payload = make([]byte, size)
					if _, err := io.ReadFull(r, req.payload); err != nil {
						return
					}
					cmd, err := parse(req)
					if err != nil {
						t.Error(err)
						return
					}
					reply := backend(cmd)
					if reply == nil {
						return
					}
					if _, err := theirs.Write(answer(req, encode(reply))); err != nil {
						return
					}
				}
			}()
			return ours, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, func() net.Conn {
		ours, theirs := net.Pipe()
		l.conns <- theirs
		t.Cleanup(func() { ours.Close() })
		return ours
	}
}

// do is a command of an internal client.
func do(t *testing.T, s *Server, db string, doc bson.D) (bson.Raw, error) {
	t.Helper()
	cmd, err := NewCommand(db, encode(doc))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := s.handle(t.Context(), cmd)
	if err != nil {
		return nil, err
	}
	return encode(reply), nil
}

// A store is a backend that holds the documents of one collection, by _id, and
// fails when it is told to.
type store struct {
	docs map[string]bson.Raw
	fail func(cmd *Command) bson.D
}

func (st *store) answer(cmd *Command) bson.D {
	if st.fail != nil {
		if reply := st.fail(cmd); reply != nil {
			return reply
		}
	}
	switch cmd.Name {
	case "find":
		batch := bson.A{}
		for id, doc := range st.docs {
			want, err := cmd.Body.LookupErr("filter", "_id")
			if text, _ := want.StringValueOK(); err != nil || text == id {
				batch = append(batch, doc)
			}
		}
		return ok("cursor", d("firstBatch", batch, "id", int64(0), "ns", "db.c"))
	case "insert":
		docs, _ := cmd.documents("documents")
		for _, doc := range docs {
			st.docs[doc.Lookup("_id").StringValue()] = slices.Clone(doc)
		}
		return ok("n", len(docs))
	}
	return ok()
}

func operations(s *Server) (all []string) {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for _, e := range s.log.entries {
		all = append(all, e.Op+" "+e.ID.StringValue())
	}
	return all
}

// What the backend did before it failed is in the log; what it did not is
// neither there nor said to be done.
func TestBackendFailsMidway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &store{docs: map[string]bson.Raw{}}
		s, _ := scripted(t, st.answer)
		st.fail = func(cmd *Command) bson.D { // of an insert, the first is done
			if cmd.Name != "insert" {
				return nil
			}
			docs, _ := cmd.documents("documents")
			st.docs[docs[0].Lookup("_id").StringValue()] = slices.Clone(docs[0])
			return d("ok", 0.0, "code", int32(1), "errmsg", "[a.go:1 f] it broke")
		}
		_, err := do(t, s, "db", d("insert", "c", "documents", bson.A{d("_id", "a"), d("_id", "b")}))
		if err == nil || err.Error() != "InternalError (1): it broke" {
			t.Errorf("it says %v", err)
		}
		if got := operations(s); !slices.Equal(got, []string{"insert a"}) {
			t.Errorf("the log has %v", got)
		}

		st.fail = func(cmd *Command) bson.D { // of an update, it is done and the answer lost
			if cmd.Name == "findAndModify" {
				st.docs["a"] = encode(d("_id", "a", "n", 1))
				return d("ok", 0.0, "code", int32(1), "errmsg", "it broke again")
			}
			return nil
		}
		reply, err := do(t, s, "db", d("update", "c", "updates", bson.A{d("q", d("_id", "a"), "u", d("$set", d("n", 1)))}))
		if err != nil || reply.Lookup("nModified").AsInt64() != 1 || reply.Lookup("writeErrors", "0", "errmsg").StringValue() != "it broke again" {
			t.Errorf("got %s, %v", reply, err)
		}
		if got := operations(s); !slices.Equal(got, []string{"insert a", "update a"}) {
			t.Errorf("the log has %v", got)
		}

		st.fail = func(cmd *Command) bson.D { // of a delete, one of two is done
			if cmd.Name == "delete" {
				delete(st.docs, "a")
				return d("ok", 0.0, "code", int32(1), "errmsg", "it broke once more")
			}
			return nil
		}
		st.docs["z"] = encode(d("_id", "z"))
		reply, err = do(t, s, "db", d("delete", "c", "deletes", bson.A{d("q", d(), "limit", 0)}))
		if err != nil || reply.Lookup("n").AsInt64() != 1 {
			t.Errorf("got %s, %v", reply, err)
		}
		if got := operations(s); !slices.Equal(got, []string{"insert a", "update a", "delete a"}) {
			t.Errorf("the log has %v", got)
		}
	})
}

// A full disk is told in one sentence, and shows for as long as it is full.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &store{docs: map[string]bson.Raw{}}
		s, _ := scripted(t, st.answer)
		st.fail = func(cmd *Command) bson.D {
			if cmd.Name == "insert" {
				return d("ok", 0.0, "code", int32(1), "errmsg", "[insert.go:7 f] database or disk is full (13)")
			}
			return nil
		}
		insert := d("insert", "c", "documents", bson.A{d("_id", "a")})
		if _, err := do(t, s, "db", insert); !isCode(err, codeOutOfDiskSpace) || s.WriteError() == nil {
			t.Errorf("it says %v, and %v", err, s.WriteError())
		}
		st.fail = nil
		if _, err := do(t, s, "db", insert); err != nil || s.WriteError() != nil {
			t.Errorf("it says %v, and %v", err, s.WriteError())
		}
	})
}

// A backend that closes the connection fails one command, not the next.
func TestBackendHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangUp := true
		s, _ := scripted(t, func(*Command) bson.D {
			if hangUp {
				return nil
			}
			return ok("n", 7)
		})
		if _, err := do(t, s, "db", d("count", "c")); !isCode(err, codeInternal) {
			t.Errorf("got %v", err)
		}
		hangUp = false
		if reply, err := do(t, s, "db", d("count", "c")); err != nil || reply.Lookup("n").AsInt64() != 7 {
			t.Errorf("got %s, %v", reply, err)
		}
	})
}

// A client that begins a command and does not end it is cut after a while,
// also when it goes on sending now and then; an idle one is not.
func TestHalfACommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := scripted(t, func(*Command) bson.D { return ok() })
		idle, half, slow := dial(), dial(), dial()
		ping := appendMsg(nil, 0, encode(d("ping", 1, "$db", "admin")))
		if _, err := half.Write(ping[:len(ping)-1]); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		go func() {
			for i := range ping {
				if _, err := slow.Write(ping[i : i+1]); err != nil {
					return
				}
				time.Sleep(time.Second) // of the bubble's clock
			}
		}()
		for _, c := range []net.Conn{half, slow} {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("half a command is answered")
			}
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("cut after %v", took)
		}
		time.Sleep(time.Hour)
		go idle.Write(ping)
		if err := idle.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(idle, make([]byte, headerSize)); err != nil {
			t.Errorf("a client that was idle: %v", err)
		}
	})
}

// A client that takes no reply is cut, and holds up no other while it is not.
func TestTakesNoReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &store{docs: map[string]bson.Raw{}}
		s, dial := scripted(t, st.answer)
		deaf := dial()
		insert := appendMsg(nil, 0, encode(d("insert", "c", "documents", bson.A{d("_id", "a")}, "$db", "db")))
		if _, err := deaf.Write(insert); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := do(t, s, "db", d("insert", "c", "documents", bson.A{d("_id", "b")})); err != nil {
			t.Error(err)
		}
		if got := operations(s); !slices.Equal(got, []string{"insert a", "insert b"}) {
			t.Errorf("the log has %v", got)
		}
		time.Sleep(11 * time.Second)
		if _, err := deaf.Write(insert[:1]); err == nil {
			t.Error("it is still connected")
		}
	})
}

// A cursor of the backend that no client asks again is ended there.
func TestCursorsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		killed := 0
		s, _ := scripted(t, func(cmd *Command) bson.D {
			mu.Lock()
			defer mu.Unlock()
			if cmd.Name == "killCursors" {
				killed++
				if ns, id := cmd.text("killCursors"), cmd.Get("cursors", "0").AsInt64(); ns != "c" || id != 5 {
					t.Errorf("killed %s %d", ns, id)
				}
			}
			return ok("cursor", d("firstBatch", bson.A{}, "nextBatch", bson.A{}, "id", int64(5), "ns", "db.c"))
		})
		if _, err := do(t, s, "db", d("find", "c")); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(9 * time.Minute)
			if _, err := do(t, s, "db", d("getMore", int64(5), "collection", "c")); err != nil {
				t.Fatal(err)
			}
		}
		ended := func() int { synctest.Wait(); mu.Lock(); defer mu.Unlock(); return killed }
		if ended() != 0 {
			t.Error("a cursor in use was ended")
		}
		time.Sleep(11 * time.Minute)
		if n := ended(); n != 1 {
			t.Errorf("ended %d times", n)
		}
	})
}

// What is remembered of sessions is bounded; the newest stay.
func TestSessionsAreBounded(t *testing.T) {
	var all sessions
	open := func(n int, number int64) *session {
		t.Helper()
		s, err := all.open(&Command{Body: encode(d("insert", "c", "lsid", d("id", n), "txnNumber", number))})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for n := range maxSessions + 100 {
		all.remember(open(n, 1), 0, outcome{n: 1})
	}
	if len(all.byID) != maxSessions || all.used.Len() != maxSessions {
		t.Errorf("%d sessions", len(all.byID))
	}
	if _, known := open(maxSessions+99, 1).recall(0); !known {
		t.Error("the newest is forgotten")
	}
	large := ok("value", make([]byte, 4<<20))
	for n := range 100 {
		all.remember(open(n, 2), 0, outcome{reply: large})
		if all.bytes > maxRemembered+5<<20 {
			t.Fatalf("%d bytes are remembered", all.bytes)
		}
	}
	if _, err := all.open(&Command{Body: encode(d("insert", "c", "lsid", d("id", 99), "txnNumber", int64(1)))}); !isCode(err, codeTransactionTooOld) {
		t.Errorf("an older number: %v", err)
	}
}
