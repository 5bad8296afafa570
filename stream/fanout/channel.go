package fanout

import (
	"sync"
	"time"

	"statustail/stream/change"
)

// A Channel is one stream of events and those who read it. Its methods may be
// called by many goroutines; what is published by one after the other arrives
// in that order. None of them ever waits for a reader.
type Channel struct {
	hub     *Hub
	topic   *topic
	carries bool // the topic's messages

	// mu guards all below. It is taken before the store's lock and a shard's,
	// and never held while writing to a socket.
	mu      sync.Mutex
	src     change.Source
	queue   queue
	shown   uint64 // the number after the newest batch that is no message
	passed  uint64 // the number of the topic's first message not published here
	busy    bool   // the hub's clock looks after the queue
	closed  bool
	readers int           // subscribers of any kind
	wake    chan struct{} // see woken
	rung    chan struct{} // to be closed when mu is released
	lanes   []*lane       // raw subscribers, by shard
	ping    cached
}

// cached is a frame that is good for a moment.
type cached struct {
	frame []byte
	until time.Time
}

// end is where a subscriber stands that is up to date. The caller holds mu.
func (c *Channel) end() place { return place{c.queue.end(), c.passed} }

// Publish shows what has changed to every subscriber. A subscriber sees either
// the old snapshot and then the frames, or the new snapshot.
func (c *Channel) Publish(p change.Publication) {
	c.locked(func() {
		if p.Source != nil {
			c.src, c.ping = p.Source, cached{}
		}
		if len(p.Frames) > 0 {
			c.append(concat(p.Frames), len(p.Frames))
			c.shown = c.queue.end()
		}
	})
}

// pass publishes a message of the topic.
func (c *Channel) pass(m *message) {
	c.locked(func() {
		if m.number >= c.passed {
			c.passed, c.ping = m.number+1, cached{}
			if c.carries {
				c.append(m.parts[0], 1)
			}
		}
	})
}

// restart tells every subscriber that something may be missing.
func (c *Channel) restart(now time.Time) {
	c.locked(func() {
		c.passed, c.ping = c.hub.store.end(c.topic), cached{}
		if c.readers > 0 {
			p := c.snapshot(c.hub.store.idAt(c.topic, c.passed), change.Unrecovered, now, step{})
			c.append(concat(p.parts), 1)
			c.shown = c.queue.end()
		}
	})
}

// Close ends the channel's streams, after what was published.
func (c *Channel) Close() {
	closed := false
	c.locked(func() {
		closed = !c.closed
		c.closed = true
		c.notify()
	})
	if closed {
		c.hub.store.close(c)
		c.hub.open.Add(-1)
	}
}

// locked changes an open channel. It wakes the portable subscribers when mu is
// released: there may be many of them.
func (c *Channel) locked(change func()) {
	if rung := c.changed(change); rung != nil {
		close(rung)
	}
}

func (c *Channel) changed(change func()) (rung chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		change()
	}
	rung, c.rung = c.rung, nil
	return rung
}

// append puts a batch into the queue, if the channel has subscribers. The
// caller holds mu.
func (c *Channel) append(data []byte, frames int) {
	if c.readers == 0 {
		c.queue.skip()
		return
	}
	b := &batch{frames: frames, next: c.passed, at: time.Now()}
	b.parts[0] = data
	c.queue.add(b)
	if !c.busy {
		c.busy = true
		c.hub.look(c)
	}
	c.notify()
}

// notify tells the shards and the portable subscribers that there is something
// new. The caller holds mu.
func (c *Channel) notify() {
	for _, l := range c.lanes {
		l.notify()
	}
	if c.wake != nil {
		c.rung, c.wake = c.wake, nil
	}
}

// woken is closed when there is something new for portable subscribers. The
// caller holds mu.
func (c *Channel) woken() <-chan struct{} {
	if c.wake == nil {
		c.wake = make(chan struct{})
	}
	return c.wake
}

// Subscribers is how many read the channel now. The parked do not count.
func (c *Channel) Subscribers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readers
}

// expire forgets what is too old for the queue, and reports whether there is
// more to look after.
func (c *Channel) expire(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue.expire(now)
	c.busy = len(c.queue.batches) > 0
	return c.busy
}

// pingFrame is the ping frame with its id. The caller holds mu.
func (c *Channel) pingFrame(now time.Time) []byte {
	if c.ping.frame == nil || now.After(c.ping.until) {
		id := appendID(nil, c.hub.store.idAt(c.topic, c.passed))
		c.ping.frame = append(id, c.src.Ping(now)...)
		c.ping.until = now.Add(c.hub.tick)
	}
	return c.ping.frame
}

// subscribe counts a new reader in and says what it needs: from this moment on
// it misses nothing. It fails when the channel is closed.
func (c *Channel) subscribe(id change.EventID, r change.Recovery, now time.Time) (*catchUp, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false
	}
	c.readers++
	return c.join(id, r, now), true
}

func (c *Channel) unsubscribe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readers--
}

// planned is plan for those who do not hold mu. closed says that the channel
// ends with it.
func (c *Channel) planned(u *catchUp, now time.Time) (pieces []piece, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plan(u, now), c.closed
}

// concat makes one piece of many.
func concat(parts [][]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
