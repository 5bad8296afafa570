package fanout

// A sub is a raw subscriber, or a parked connection. There may be tens of
// thousands, so it holds nothing that could be held elsewhere: what it needs
// when it is stalled is in shard.behind, when it stops being parked in
// shard.parked.
type sub struct {
	place
	lane   *lane // nil when parked
	ticket ticket
	fd     int32  // -1: nobody is here
	member int32  // where it stands in lane.members
	noise  uint16 // bytes received after the request
	stall  bool   // the socket was full: see shard.behind
}

// A slab stores subs by number, in chunks, so that it can grow without
// copying and shrink without moving.
type slab struct {
	chunks []*chunk
	room   int // no chunk below it has room
	n      int
}

const chunkSize = 256

type chunk struct {
	subs [chunkSize]sub
	n    int
}

// add puts u, which has its descriptor, somewhere and returns where.
func (s *slab) add(u sub) (int32, *sub) {
	for ; s.room < len(s.chunks); s.room++ {
		if c := s.chunks[s.room]; c == nil || c.n < chunkSize {
			break
		}
	}
	if s.room == len(s.chunks) {
		s.chunks = append(s.chunks, nil)
	}
	c := s.chunks[s.room]
	if c == nil {
		c = new(chunk)
		for i := range c.subs {
			c.subs[i].fd = -1
		}
		s.chunks[s.room] = c
	}
	i := c.n // right when nobody has left, else a place to start looking
	for c.subs[i].fd >= 0 {
		i = (i + 1) % chunkSize
	}
	c.subs[i] = u
	c.n++
	s.n++
	return int32(s.room*chunkSize + i), &c.subs[i]
}

// at is the sub of that number, or nil if nobody is there.
func (s *slab) at(i int32) *sub {
	if c := int(i) / chunkSize; i >= 0 && c < len(s.chunks) && s.chunks[c] != nil {
		if u := &s.chunks[c].subs[i%chunkSize]; u.fd >= 0 {
			return u
		}
	}
	return nil
}

func (s *slab) remove(i int32) {
	k := int(i) / chunkSize
	c := s.chunks[k]
	u := &c.subs[i%chunkSize]
	*u = sub{fd: -1}
	s.n--
	if c.n--; c.n == 0 {
		s.chunks[k] = nil
		for len(s.chunks) > 0 && s.chunks[len(s.chunks)-1] == nil {
			s.chunks = s.chunks[:len(s.chunks)-1]
		}
	}
	s.room = min(s.room, k)
}

// end is greater than every number in use.
func (s *slab) end() int32 { return int32(len(s.chunks) * chunkSize) }
