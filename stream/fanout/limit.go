package fanout

import (
	"hash/maphash"
	"sync"
)

// limits counts the admitted. Clients are counted by a hash of their address,
// so that tens of thousands of them cost a few bytes each.
type limits struct {
	max, perPage, perClient int

	mu      sync.Mutex
	total   int
	pages   map[string]*tally
	clients map[uint64]int
	seed    maphash.Seed
}

type tally struct {
	page string
	n    int
}

// A ticket is what an admitted subscriber gives back when it goes.
type ticket struct {
	page   *tally
	client uint64
}

func newLimits(c *Config) *limits {
	return &limits{
		max: c.MaxSubscribers, perPage: c.MaxPerPage, perClient: c.MaxPerClient,
		pages: make(map[string]*tally), clients: make(map[uint64]int), seed: maphash.MakeSeed(),
	}
}

// admit counts a subscriber, or says which limit it would break: "total",
// "page" or "client".
func (l *limits) admit(q Request) (t ticket, refusal string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.max > 0 && l.total >= l.max {
		return ticket{}, "total"
	}
	if l.perPage > 0 {
		if t.page = l.pages[q.Page]; t.page == nil {
			t.page = &tally{page: q.Page}
		}
		if t.page.n >= l.perPage {
			return ticket{}, "page"
		}
	}
	if l.perClient > 0 && q.Client != "" {
		t.client = maphash.String(l.seed, q.Client) | 1 // 0 is nobody known
		if l.clients[t.client] >= l.perClient {
			return ticket{}, "client"
		}
		l.clients[t.client]++
	}
	if t.page != nil {
		t.page.n++
		l.pages[q.Page] = t.page
	}
	l.total++
	return t, ""
}

func (l *limits) release(t ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if t.page != nil {
		if t.page.n--; t.page.n == 0 {
			delete(l.pages, t.page.page)
		}
	}
	if t.client != 0 {
		if l.clients[t.client]--; l.clients[t.client] <= 0 {
			delete(l.clients, t.client)
		}
	}
	if l.total == 0 {
		// A Go map never shrinks by itself.
		l.pages, l.clients = make(map[string]*tally), make(map[uint64]int)
	}
}

func (l *limits) none() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total == 0
}

// Subscribers is how many streams are open now, but for the parked ones.
func (h *Hub) Subscribers() int {
	h.limits.mu.Lock()
	defer h.limits.mu.Unlock()
	return h.limits.total
}
