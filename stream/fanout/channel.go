package fanout

import (
	"sync"
	"time"

	"statustail/stream/change"
)

// A Source is what a channel currently shows. The hub calls it under the
// channel's lock: it must be quick, must not call back into the channel, and
// must not wait for a lock that somebody holds while publishing. The frames
// it returns must never change afterwards.
type Source interface {
	// Snapshot encodes the event that every connection begins with, without
	// id: and retry: lines. recovered is nil on a fresh connection, else
	// whether everything since the client's id was replayed. One snapshot may
	// be given to everybody who comes within a tenth of a second, unless
	// something is published in between.
	Snapshot(now time.Time, recovered *bool) []byte

	// Ping encodes the ping event, without id: line.
	Ping(now time.Time) []byte

	// Settled is the position below which everything has been published; it
	// is sent as the id of snapshots and pings. 0 is unknown.
	Settled() change.Position
}

// A Channel is one stream of events and those who read it. Its methods may be
// called by many goroutines; what is published by one after the other arrives
// in that order. None of them ever waits for a reader.
type Channel struct {
	hub  *Hub
	name string

	// mu guards all below. It is taken after the hub's and before a shard's,
	// and never held while writing to a socket.
	mu      sync.Mutex
	src     Source
	ring    ring
	closed  bool
	readers int           // subscribers of any kind
	wake    chan struct{} // see woken
	lanes   []*lane       // raw subscribers, by shard
	snap    [3]cached     // by recovery
	ping    cached
}

// cached is a frame that is good for a moment.
type cached struct {
	frame []byte
	until time.Time
}

const snapshotLife = 100 * time.Millisecond

// Publish sends frames to every subscriber and keeps them for replay. Frames
// are complete events without id: lines; id, unless 0, is put on the last of
// them. src, unless nil, takes the source's place in the same moment: whoever
// subscribes sees either the old snapshot and then the frames, or the new
// one. With no frames, that is all that happens.
//
// upto is the newest operation time that the batch reflects: a resume from P
// replays every batch with upto at or after P. An unknown upto (0) is always
// replayed. A later batch with the same key, unless empty, replaces this one
// for readers that lag or resume.
func (c *Channel) Publish(src Source, frames [][]byte, key string, upto, id change.Position) {
	c.append(src, frames, key, upto, id, true)
}

// Record keeps frames for replay, as Publish does, but sends them to nobody:
// they are history.
func (c *Channel) Record(frames [][]byte, key string, upto, id change.Position) {
	c.append(nil, frames, key, upto, id, false)
}

func (c *Channel) append(src Source, frames [][]byte, key string, upto, id change.Position, live bool) {
	var b *batch
	now := time.Now()
	if data := join(frames, id); len(data) > 0 {
		if upto == 0 {
			upto = always
		}
		b = &batch{data: data, frames: len(frames), key: key, upto: upto, live: live, at: now}
	}

	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	if src != nil {
		c.src = src
	}
	c.snap, c.ping = [3]cached{}, cached{}
	var wake chan struct{}
	if b != nil {
		c.ring.add(b)
		c.ring.newest = max(c.ring.newest, id)
		c.ring.trim(&c.hub.cfg, now)
		if live {
			wake = c.notify()
		}
	}
	c.mu.Unlock()
	if wake != nil {
		close(wake)
	}
}

// notify tells the shards that there is something new. What it returns, unless
// nil, is to be closed, to tell the portable subscribers, when mu, which the
// caller holds, has been released: there may be many of them.
func (c *Channel) notify() chan struct{} {
	for _, l := range c.lanes {
		l.notify()
	}
	wake := c.wake
	c.wake = nil
	return wake
}

// woken is closed when there is something new for portable subscribers. The
// caller holds mu.
func (c *Channel) woken() <-chan struct{} {
	if c.wake == nil {
		c.wake = make(chan struct{})
	}
	return c.wake
}

// Hole says that continuity was lost: only what follows from is certain to be
// here. Whoever resumes from before it is told that something may be missing.
func (c *Channel) Hole(from change.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ring.hole(from)
}

// Close ends the channel's streams, after what was published. Its name can be
// opened again.
func (c *Channel) Close() {
	c.hub.forget(c)
	c.mu.Lock()
	var wake chan struct{}
	if !c.closed {
		c.closed = true
		wake = c.notify()
	}
	c.mu.Unlock()
	if wake != nil {
		close(wake)
	}
}

// Subscribers is how many read the channel now. The parked do not count.
func (c *Channel) Subscribers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readers
}

// expire forgets what is too old, on a channel where nothing happens.
func (c *Channel) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ring.trim(&c.hub.cfg, now)
	for i := range c.snap {
		if now.After(c.snap[i].until) {
			c.snap[i] = cached{}
		}
	}
}

// snapshot is the snapshot frame with its id. The caller holds mu.
func (c *Channel) snapshot(now time.Time, r recovery) []byte {
	s := &c.snap[r]
	if s.frame == nil || now.After(s.until) {
		id := c.src.Settled() // first, so that it is never newer than what it stands for
		c.ring.newest = max(c.ring.newest, id)
		s.frame = join([][]byte{c.src.Snapshot(now, r.told())}, id)
		s.until = now.Add(snapshotLife)
	}
	return s.frame
}

// pingFrame is the ping frame with its id. The caller holds mu.
func (c *Channel) pingFrame(now time.Time) []byte {
	if c.ping.frame == nil || now.After(c.ping.until) {
		id := c.src.Settled()
		c.ring.newest = max(c.ring.newest, id)
		c.ping.frame = join([][]byte{c.src.Ping(now)}, id)
		c.ping.until = now.Add(c.hub.tick)
	}
	return c.ping.frame
}

// subscribe counts a new reader in and says what it is owed: from this moment
// on it misses nothing. It fails when the channel is closed.
func (c *Channel) subscribe(lastID string, now time.Time) (*debt, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false
	}
	c.readers++
	return c.join(lastID, now), true
}

func (c *Channel) unsubscribe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readers--
}
