package fanout

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A shard is one epoll loop and the only one that writes to, reads from or
// closes its descriptors once it has received them: so none of them can be
// closed, or reused, under anybody's hands.
type shard struct {
	hub   *Hub
	index int
	epoll *os.File // in Go's own poller, so that waiting costs no thread
	poll  syscall.RawConn
	epfd  int
	event int // an eventfd, to be woken by

	// What others ask for.
	ticks    atomic.Int64
	leaving  atomic.Int64 // millionths of the subscribers that are to have left
	stopping atomic.Bool
	stopped  chan struct{}
	sleeping atomic.Bool

	mu     sync.Mutex // taken after a channel's
	inbox  []arrival
	due    []*lane
	closed bool

	// The rest is the loop's own.
	subs   slab
	behind map[int32]*catchUp // what those need whose sockets were full
	parked map[int32]time.Time
	tick   int64
	slots  int64 // ticks from ping to ping
	offset int64 // of the wheel, so that shards and servers do not turn alike
	drain  struct {
		had, left, at int
		next          int32
	}

	events  []unix.EpollEvent
	batches []*batch
	pieces  []piece
	frame   [1][]byte
	buffer  []byte
	mail    []arrival
	lanes   []*lane
	frames  int
	bytes   int
	calls   int
}

// A lane is a channel's subscribers within one shard.
type lane struct {
	channel *Channel
	shard   *shard
	queued  atomic.Bool
	count   int // subscribers, those on their way included; guarded by channel.mu

	// The rest is the shard's own.
	members []int32
	done    uint64 // every member that is not stalled has got the batches below
}

// lane is the channel's in that shard. The caller holds mu.
func (c *Channel) lane(s *shard) *lane {
	if c.lanes == nil {
		c.lanes = make([]*lane, s.hub.cfg.Shards)
	}
	if c.lanes[s.index] == nil {
		c.lanes[s.index] = &lane{channel: c, shard: s}
	}
	return c.lanes[s.index]
}

// notify tells the shard to look. The caller holds the channel's mu.
func (l *lane) notify() {
	if l != nil && l.count > 0 && l.queued.CompareAndSwap(false, true) {
		l.shard.add(l)
		l.shard.wake()
	}
}

func (s *shard) add(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = append(s.due, l)
}

// enter counts a subscriber of the channel into its lane in a shard.
func (c *Channel) enter(s *shard) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lane(s)
	l.count++
	return l
}

// leave counts one out.
func (l *lane) leave() {
	c := l.channel
	c.mu.Lock()
	defer c.mu.Unlock()
	l.count--
	c.readers--
}

func newShard(h *Hub, index int) (*shard, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	if err := unix.SetNonblock(epfd, true); err != nil { // or os would not poll it
		_ = unix.Close(epfd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	slots := int64(max(1, h.cfg.Ping/h.tick))
	s := &shard{
		slots: slots, offset: rand.Int64N(slots),
		hub: h, index: index, epfd: epfd, epoll: os.NewFile(uintptr(epfd), "epoll"),
		stopped: make(chan struct{}),
		behind:  make(map[int32]*catchUp),
		parked:  make(map[int32]time.Time),
		events:  make([]unix.EpollEvent, 256),
	}
	if s.poll, err = s.epoll.SyscallConn(); err == nil {
		s.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err != nil {
		_ = s.epoll.Close()
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	// Edge-triggered: each write to it is an event, and it need not be read.
	err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, s.event, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: -1})
	if err != nil {
		_ = s.epoll.Close()
		_ = unix.Close(s.event)
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	go s.run()
	return s, nil
}

// receive puts a descriptor into the shard's hands, or returns false when it
// takes none any more.
func (s *shard) receive(a arrival) bool {
	taken := s.post(a)
	if taken {
		s.wake()
	}
	return taken
}

func (s *shard) post(a arrival) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.inbox = append(s.inbox, a)
	}
	return !s.closed
}

var one = []byte{1, 0, 0, 0, 0, 0, 0, 0}

func (s *shard) wake() {
	if s.sleeping.CompareAndSwap(true, false) {
		_, _ = unix.Write(s.event, one)
	}
}

func (s *shard) run() {
	defer close(s.stopped)
	for !s.stopping.Load() {
		busy := s.work()
		n := s.wait()
		s.handle(n)
		s.count()
		if busy || n > 0 {
			continue
		}
		// Whoever asks for something from here on sees that we sleep.
		s.sleeping.Store(true)
		if s.asked() {
			s.sleeping.Store(false)
			continue
		}
		err := s.poll.Read(func(uintptr) bool {
			n = s.wait()
			return n != 0
		})
		s.sleeping.Store(false)
		if err != nil {
			s.hub.cfg.Logger.Error("the epoll loop cannot wait; its subscribers are closed", "error", err)
			break
		}
		s.handle(n)
	}
	s.end()
}

// wait returns the number of events that are there.
func (s *shard) wait() int {
	n, err := unix.EpollWait(s.epfd, s.events, 0)
	if err != nil {
		return 0 // interrupted: there will be another look
	}
	return n
}

// asked reports whether there is work.
func (s *shard) asked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.inbox) > 0 || len(s.due) > 0 || s.ticks.Load() != s.tick ||
		s.stopping.Load() || s.leaving.Load() != int64(s.drain.at)
}

// work does what others have asked for, and reports whether there was
// anything.
func (s *shard) work() bool {
	mail, lanes := s.collect()
	for _, a := range mail {
		s.admit(a)
	}
	for _, l := range lanes {
		s.fanOut(l)
	}
	busy := len(mail) > 0 || len(lanes) > 0
	clear(mail)
	clear(lanes)
	s.mail, s.lanes = mail[:0], lanes[:0]
	if cap(s.mail) > 64 {
		s.mail = nil // a crowd has come: the next may be long in coming
	}

	if t := s.ticks.Load(); t != s.tick {
		busy = true
		for s.tick = max(s.tick, t-s.slots); s.tick < t; {
			s.tick++
			s.ping(int32((s.tick+s.offset)%s.slots), int32(s.slots))
		}
		s.expire(time.Now())
	}
	if at := s.leaving.Load(); at != int64(s.drain.at) {
		busy = true
		s.drainTo(int(at))
	}
	return busy
}

// collect takes what has come in.
func (s *shard) collect() (mail []arrival, lanes []*lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mail, lanes = s.inbox, s.due
	s.inbox, s.due = s.mail[:0], s.lanes[:0]
	return mail, lanes
}

// count passes on what was counted since the last time.
func (s *shard) count() {
	if s.calls > 0 {
		s.hub.metrics.sent(s.frames, s.bytes, s.calls)
		s.frames, s.bytes, s.calls = 0, 0, 0
	}
}

const interest = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET

// watch asks for the events of a sub's socket.
func (s *shard) watch(op int, i int32, u *sub) error {
	ev := unix.EpollEvent{Events: interest, Fd: i}
	if u.stall {
		ev.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(s.epfd, op, int(u.fd), &ev)
}

func (s *shard) admit(a arrival) {
	i, u := s.subs.add(sub{fd: int32(a.fd), lane: a.lane, ticket: a.ticket, place: a.place, stall: a.needs != nil})
	if l := a.lane; l == nil {
		s.parked[i] = a.until
	} else {
		if len(l.members) == 0 {
			l.done = a.place.cursor
		}
		u.member = int32(len(l.members))
		l.members = append(l.members, i)
		if a.needs != nil {
			s.behind[i] = a.needs
		}
	}
	if err := s.watch(unix.EPOLL_CTL_ADD, i, u); err != nil {
		// Out of memory, or of max_user_watches.
		s.hub.metrics.refusals.WithLabelValues("descriptors").Inc()
		s.close(i, u)
		return
	}
	if u.lane != nil {
		s.flush(i, u)
	}
}

// close ends a sub. Nobody else may have its descriptor.
func (s *shard) close(i int32, u *sub) {
	_ = unix.Close(int(u.fd))
	delete(s.behind, i)
	if l := u.lane; l != nil {
		last := len(l.members) - 1
		moved := l.members[last]
		l.members[u.member] = moved
		s.subs.at(moved).member = u.member
		if l.members = l.members[:last]; last == 0 {
			l.members = nil
		}
		l.leave()
		s.hub.limits.release(u.ticket)
		s.hub.metrics.raw.Dec()
	} else {
		delete(s.parked, i)
		s.hub.unpark()
	}
	s.subs.remove(i)
}

// evict closes a sub that misbehaves, and has the kernel forget at once what
// it could not be sent.
func (s *shard) evict(i int32, u *sub, reason string) {
	_ = unix.SetsockoptLinger(int(u.fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	s.hub.metrics.evictions.WithLabelValues(reason).Inc()
	s.close(i, u)
}

func (s *shard) handle(n int) {
	for _, ev := range s.events[:max(n, 0)] {
		i := ev.Fd
		u := s.subs.at(i)
		if u == nil {
			continue // the eventfd, or closed since: numbers are reused only by add
		}
		switch {
		case ev.Events&(unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0:
			// Half closed is gone, as it is for net/http: no client of
			// events says goodbye and goes on reading.
			s.close(i, u)
			continue
		case ev.Events&unix.EPOLLIN != 0 && !s.listen(i, u):
			continue
		}
		if ev.Events&unix.EPOLLOUT != 0 && u.stall {
			s.resume(i, u)
		}
	}
}

// listen reads what a client sends that has nothing to say, and reports
// whether it may stay. If it were not read, it would lie in the kernel's
// buffers and hide that the client has gone.
func (s *shard) listen(i int32, u *sub) bool {
	if s.buffer = s.buffer[:0]; cap(s.buffer) < 4096 {
		s.buffer = make([]byte, 0, 4096)
	}
	for {
		n, errno := receive(int(u.fd), s.buffer[:4096])
		switch {
		case errno == unix.EAGAIN:
			return true
		case errno == unix.EINTR:
			continue
		case errno != 0 || n == 0:
			s.close(i, u)
			return false
		case int(u.noise)+n > maxNoise:
			s.evict(i, u, "noise")
			return false
		}
		u.noise += uint16(n)
	}
}

// shut takes nothing any more, and returns what has come.
func (s *shard) shut() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	mail := s.inbox
	s.inbox, s.due = nil, nil
	return mail
}

// end closes everything.
func (s *shard) end() {
	for _, a := range s.shut() {
		s.admit(a)
	}
	for i := range s.subs.end() {
		if u := s.subs.at(i); u != nil {
			s.farewell(i, u)
		}
	}
	s.count()
	_ = s.epoll.Close()
	_ = unix.Close(s.event)
}
