package mongotest

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A retry is the reply to the newest retryable write of a session. A driver
// that lost the reply sends the write again and must not have it done twice.
type retry struct {
	number int64
	reply  bson.D
}

// write has the database behind do a write, and takes its effects from that
// database's log into the oplog.
func (s *Server) write(c *conn, cmd command) (bson.D, bool) {
	s.writing.Lock()
	defer s.writing.Unlock()

	session := string(cmd.get("lsid").Value)
	number, retryable := cmd.get("txnNumber").Int64OK()
	if last, ok := s.retries[session]; ok && retryable && last.number == number {
		return slices.Clone(last.reply), false
	}
	dropped := s.collections(cmd)
	reply, err := c.forward(cmd.stripped())
	if err != nil {
		return nil, true
	}
	if retryable {
		s.retries[session] = retry{number, slices.Clone(reply)}
	}
	entries, err := s.effects.read(s.ctx, s.db, s.backend)
	if err != nil {
		return nil, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.succeeded(reply) {
		entries = append(entries, s.definition(cmd, dropped)...)
	}
	s.append(entries, replaces(cmd))
	drop := retryable && s.faults.lostReplies > 0
	if drop {
		s.faults.lostReplies--
	}
	return reply, drop
}

func (s *Server) succeeded(reply bson.D) bool {
	n, _ := bson.Raw(encode(reply)).Lookup("ok").AsFloat64OK()
	return n == 1
}

// collections is what a dropDatabase is about to drop, and whether what a drop
// or rename names exists.
func (s *Server) collections(cmd command) []string {
	if cmd.name != "dropDatabase" && cmd.name != "drop" {
		return nil
	}
	names, err := s.backend.Database(cmd.db).ListCollectionNames(s.ctx, bson.D{})
	if err != nil {
		return nil
	}
	slices.Sort(names)
	return names
}

// definition is the events of a command that defines, drops or renames
// something, which the database behind does not log.
func (s *Server) definition(cmd command, existing []string) []entry {
	switch cmd.name {
	case "drop":
		if name, _ := cmd.get("drop").StringValueOK(); slices.Contains(existing, name) {
			return []entry{{operation: "drop", db: cmd.db, collection: name}}
		}
	case "dropDatabase":
		var entries []entry
		for _, name := range existing {
			entries = append(entries, entry{operation: "drop", db: cmd.db, collection: name})
		}
		if len(entries) > 0 {
			entries = append(entries, entry{operation: "dropDatabase", db: cmd.db}, entry{operation: "invalidate", db: cmd.db})
		}
		return entries
	case "renameCollection":
		from, _ := cmd.get("renameCollection").StringValueOK()
		to, _ := cmd.get("to").StringValueOK()
		db, collection, _ := strings.Cut(from, ".")
		toDB, toCollection, _ := strings.Cut(to, ".")
		return []entry{{operation: "rename", db: db, collection: collection, toDB: toDB, toCollection: toCollection}}
	case "create", "createIndexes", "dropIndexes", "collMod":
		return []entry{{operation: "noop"}}
	}
	return nil
}

// replaces says whether the updates of a command replace whole documents,
// which the log behind does not tell apart.
func replaces(cmd command) bool {
	var update bson.Raw
	switch cmd.name {
	case "update":
		update, _ = cmd.get("updates", "0", "u").DocumentOK()
	case "findAndModify", "findandmodify":
		update, _ = cmd.get("update").DocumentOK()
	}
	first, err := update.IndexErr(0)
	return err == nil && !strings.HasPrefix(first.Key(), "$")
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
