package crowd

import (
	"container/heap"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what a crowd does.
type Config struct {
	// Addr is host:port of an IPv4 address, or unix:/path.
	Addr string
	// Path is what is asked for; Host the header, by default Addr.
	Path, Host string
	// N is how many subscribers there are.
	N int
	// PerSecond is how many of them come in a second; 0 means 2,000.
	PerSecond int
	// Sources is how many addresses, from 127.1.0.1 on, they come from; 0
	// means that the kernel chooses. Not with unix.
	Sources int
	// Event, unless nil, is called with every event, from one goroutine; i
	// is the subscriber's number.
	Event func(i int, e Event)
	// Deaf subscribers read nothing once they have asked.
	Deaf bool
}

// A Report is what has happened so far.
type Report struct {
	Open     int         // subscribers that have a stream now
	Opened   int         // streams that have begun
	Closed   int         // streams that have ended
	Refused  int         // connections closed without an answer, or not accepted
	Statuses map[int]int // answers other than 200, which end an EventSource
	Events   int
	Bytes    int64
	Reopened []time.Time // when each stream after a subscriber's first began
}

// defaultRetry is Chrome's, as long as the server has named none.
const defaultRetry = 3 * time.Second

// A Crowd is running. Its methods may be called from any goroutine.
type Crowd struct {
	cfg  Config
	addr unix.Sockaddr
	ep   int
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	report Report
	err    error
}

// A client is one subscriber. Only the loop touches it.
type client struct {
	fd     int // -1 while there is no connection
	opened bool
	before bool // has had a stream before
	over   bool // got an answer after which an EventSource stays away
	reader reader
}

// Start sends the crowd on its way.
func Start(cfg Config) (*Crowd, error) {
	if cfg.PerSecond == 0 {
		cfg.PerSecond = 2000
	}
	if cfg.Host == "" {
		cfg.Host = cfg.Addr
	}
	addr, err := sockaddr(cfg.Addr)
	if err != nil {
		return nil, err
	}
	if _, ok := addr.(*unix.SockaddrUnix); ok && cfg.Host == cfg.Addr {
		cfg.Host = "localhost"
	}
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	c := &Crowd{cfg: cfg, addr: addr, ep: ep, stop: make(chan struct{}), done: make(chan struct{})}
	c.report.Statuses = map[int]int{}
	go c.loop()
	return c, nil
}

// Close ends every subscriber.
func (c *Crowd) Close() {
	close(c.stop)
	<-c.done
}

// Report says what has happened so far.
func (c *Crowd) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.report
	r.Reopened = append([]time.Time(nil), r.Reopened...)
	r.Statuses = map[int]int{}
	for k, n := range c.report.Statuses {
		r.Statuses[k] = n
	}
	return r
}

// Wait waits until the report fulfils a condition.
func (c *Crowd) Wait(within time.Duration, condition func(Report) bool) error {
	limit := time.NewTimer(within)
	defer limit.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		c.mu.Lock()
		ok, err := condition(c.report), c.err
		c.mu.Unlock()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		}
		select {
		case <-limit.C:
			r := c.Report()
			r.Reopened = nil
			return fmt.Errorf("crowd: not within %v: %+v", within, r)
		case <-look.C:
		}
	}
}

func sockaddr(addr string) (unix.Sockaddr, error) {
	if len(addr) > 5 && addr[:5] == "unix:" {
		return &unix.SockaddrUnix{Name: addr[5:]}, nil
	}
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, err
	}
	return &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}, nil
}

func (c *Crowd) loop() {
	defer close(c.done)
	clients := make([]client, c.cfg.N)
	due := make(timers, 0, c.cfg.N)
	begun := time.Now()
	for i := range clients {
		clients[i].fd = -1
		due = append(due, timer{begun.Add(time.Duration(i) * time.Second / time.Duration(c.cfg.PerSecond)), i})
	}
	defer unix.Close(c.ep)
	defer func() {
		for i := range clients {
			if clients[i].fd >= 0 {
				unix.Close(clients[i].fd)
			}
		}
	}()
	events := make([]unix.EpollEvent, 512)
	buffer := make([]byte, 64<<10)
	again := func(i int) {
		cl := &clients[i]
		wait := cl.reader.retry
		if wait == 0 {
			wait = defaultRetry
		}
		heap.Push(&due, timer{time.Now().Add(wait), i})
	}
	for {
		select {
		case <-c.stop:
			return
		default:
		}
		wait := 50 * time.Millisecond
		for len(due) > 0 {
			if wait = min(wait, time.Until(due[0].at)); wait > 0 {
				break
			}
			wait = 50 * time.Millisecond
			i := heap.Pop(&due).(timer).client
			if err := c.connect(&clients[i], i); err != nil {
				if !errors.Is(err, errRefused) {
					c.fail(err)
					return
				}
				c.count(func(r *Report) { r.Refused++ })
				again(i)
			}
		}
		n, err := unix.EpollWait(c.ep, events, int(wait.Milliseconds())+1)
		if err != nil && err != unix.EINTR {
			c.fail(os.NewSyscallError("epoll_wait", err))
			return
		}
		for _, e := range events[:max(n, 0)] {
			i := int(e.Fd)
			if c.receive(&clients[i], i, buffer) {
				continue
			}
			cl := &clients[i]
			// Closing alone is not enough: while this process starts another,
			// that one holds the connection, too, and it would go on to
			// report events.
			_ = unix.EpollCtl(c.ep, unix.EPOLL_CTL_DEL, cl.fd, nil)
			unix.Close(cl.fd)
			cl.fd = -1
			status := cl.reader.status
			c.count(func(r *Report) {
				switch {
				case cl.opened:
					r.Closed++
					r.Open--
				case status == 0:
					r.Refused++
				}
			})
			cl.opened = false
			if !cl.over {
				cl.reader.again()
				again(i)
			}
		}
	}
}

func (c *Crowd) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *Crowd) count(f func(*Report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.report)
}

// errRefused is a connection that was not accepted: one to be tried again.
var errRefused = errors.New("refused")

// connect opens a connection and asks. Over loopback neither waits.
func (c *Crowd) connect(cl *client, i int) error {
	family := unix.AF_INET
	if _, ok := c.addr.(*unix.SockaddrUnix); ok {
		family = unix.AF_UNIX
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if family == unix.AF_INET && c.cfg.Sources > 0 {
		n := i % c.cfg.Sources
		_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 1, byte(n / 250), byte(n%250 + 1)}}); err != nil {
			unix.Close(fd)
			return os.NewSyscallError("bind", err)
		}
	}
	if c.cfg.Deaf {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10)
	}
	if err := unix.Connect(fd, c.addr); err != nil {
		unix.Close(fd)
		return errRefused
	}
	request := "GET " + c.cfg.Path + " HTTP/1.1\r\nHost: " + c.cfg.Host + "\r\n" + BrowserHeader
	if cl.reader.id != "" {
		request += "Last-Event-ID: " + cl.reader.id + "\r\n"
	}
	if _, err := unix.Write(fd, []byte(request+"\r\n")); err != nil {
		unix.Close(fd)
		return errRefused
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	interest := uint32(unix.EPOLLIN | unix.EPOLLRDHUP)
	if c.cfg.Deaf {
		interest = 0 // errors and hang-ups are reported all the same
	}
	cl.fd = fd
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(c.ep, unix.EPOLL_CTL_ADD, fd,
		&unix.EpollEvent{Events: interest, Fd: int32(i)}))
}

// receive reads what there is, and reports whether the connection goes on.
func (c *Crowd) receive(cl *client, i int, buffer []byte) bool {
	if c.cfg.Deaf {
		return false // an error or a hang-up
	}
	n, err := unix.Read(cl.fd, buffer)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return true
	case err != nil || n == 0:
		return false
	}
	events := 0
	end, err := cl.reader.read(buffer[:n], func(e Event) {
		events++
		if c.cfg.Event != nil {
			c.cfg.Event(i, e)
		}
	})
	status := cl.reader.status
	began := status == 200 && !cl.opened
	cl.opened = cl.opened || began
	c.count(func(r *Report) {
		r.Events += events
		r.Bytes += int64(n)
		if began {
			r.Open++
			r.Opened++
			if cl.before {
				r.Reopened = append(r.Reopened, time.Now())
			}
		}
		if status != 0 && status != 200 && !cl.over {
			r.Statuses[status]++
		}
	})
	cl.before = cl.before || began
	cl.over = status != 0 && status != 200
	return !end && err == nil && !cl.over
}

// BrowserHeader is what Chromium sends with an EventSource to another site: a
// proxy's memory depends on how much that is.
const BrowserHeader = "Connection: keep-alive\r\n" +
	"sec-ch-ua-platform: \"Windows\"\r\n" +
	"Cache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36\r\n" +
	"Accept: text/event-stream\r\n" +
	"sec-ch-ua: \"Chromium\";v=\"156\", \"Not)A;Brand\";v=\"8\", \"Google Chrome\";v=\"156\"\r\n" +
	"sec-ch-ua-mobile: ?0\r\n" +
	"Origin: https://www.example.com\r\n" +
	"Sec-Fetch-Site: cross-site\r\n" +
	"Sec-Fetch-Mode: cors\r\n" +
	"Sec-Fetch-Dest: empty\r\n" +
	"Referer: https://www.example.com/\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"

// timers is a heap of who connects when.
type timers []timer

type timer struct {
	at     time.Time
	client int
}

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(x any)        { *t = append(*t, x.(timer)) }
func (t *timers) Pop() any {
	old := *t
	last := old[len(old)-1]
	*t = old[:len(old)-1]
	return last
}
