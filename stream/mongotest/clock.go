package mongotest

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A timestamp is a cluster time: the second, and a number within it.
type timestamp struct{ t, i uint32 }

// next is the time of the next entry of the oplog.
func (ts timestamp) next() timestamp {
	if now := uint32(time.Now().Unix()); now > ts.t {
		return timestamp{now, 1}
	}
	return timestamp{ts.t, ts.i + 1}
}

func (ts timestamp) before(other timestamp) bool {
	return ts.t < other.t || ts.t == other.t && ts.i < other.i
}

func (ts timestamp) bson() bson.Timestamp { return bson.Timestamp{T: ts.t, I: ts.i} }

// Noop advances the cluster time without a change, as the periodic no-op of a
// quiet replica set does.
func (s *Server) Noop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.next()
	s.notify()
}

// ClusterTime is the newest cluster time.
func (s *Server) ClusterTime() bson.Timestamp {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.bson()
}
