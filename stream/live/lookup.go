package live

import (
	"context"
	"sync"
	"time"
)

const (
	// lookupTimeout bounds one query.
	lookupTimeout = 5 * time.Second
	// maxWaiting bounds the keys that wait for a query.
	maxWaiting = 20_000
)

// A lookup finds values by key, in one query for all who wait, one query after
// the other. What was found is kept for a while, and so is what was not. Each
// key has a tag: all keys of a tag are dropped together when something changed.
type lookup[K comparable, V any] struct {
	ctx     context.Context
	ask     func(ctx context.Context, keys []K) (map[K]V, error)
	tag     func(k K, v V, found bool) string
	keep    time.Duration
	maxKept int
	batch   int // keys in one query at most

	mu      sync.Mutex
	kept    map[K]answer[V]
	byTag   map[string]map[K]struct{}
	waiting map[K]*question[V]
	asking  map[K]*question[V] // nil: no query is under way
	stale   map[string]bool    // tags dropped while asking
	void    bool               // everything was
}

type answer[V any] struct {
	value V
	found bool
	tag   string
	until time.Time
}

type question[V any] struct {
	answer[V]
	err  error
	done chan struct{}
}

// get waits for an answer until ctx is done. The error is the query's or the
// context's.
func (l *lookup[K, V]) get(ctx context.Context, k K) (v V, found bool, err error) {
	a, q := l.find(k, time.Now())
	if q == nil {
		return a.value, a.found, nil
	}
	select {
	case <-q.done:
		return q.value, q.found, q.err
	case <-ctx.Done():
		return v, false, ctx.Err()
	}
}

// find gives what is kept, or the question to wait for.
func (l *lookup[K, V]) find(k K, now time.Time) (answer[V], *question[V]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a, ok := l.kept[k]; ok && now.Before(a.until) {
		return a, nil
	}
	// An answer under way may be older than what was dropped since.
	if q := l.asking[k]; q != nil && !l.void && len(l.stale) == 0 {
		return answer[V]{}, q
	}
	if q := l.waiting[k]; q != nil {
		return answer[V]{}, q
	}
	q := &question[V]{done: make(chan struct{})}
	if len(l.waiting) >= maxWaiting {
		q.err = ErrUnavailable
		close(q.done)
		return answer[V]{}, q
	}
	if l.waiting == nil {
		l.waiting = make(map[K]*question[V])
	}
	l.waiting[k] = q
	if l.asking == nil {
		l.asking = make(map[K]*question[V])
		go l.run()
	}
	return answer[V]{}, q
}

// run asks as long as keys are waiting.
func (l *lookup[K, V]) run() {
	for {
		keys := l.next()
		if len(keys) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(l.ctx, lookupTimeout)
		found, err := l.ask(ctx, keys)
		cancel()
		l.answered(found, err, time.Now())
	}
}

// next takes the keys of the next query.
func (l *lookup[K, V]) next() (keys []K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.asking, l.waiting = nil, nil
		return nil
	}
	l.asking = make(map[K]*question[V])
	l.stale, l.void = nil, false
	for k, q := range l.waiting {
		if len(keys) == l.batch {
			break
		}
		keys = append(keys, k)
		l.asking[k] = q
		delete(l.waiting, k)
	}
	return keys
}

func (l *lookup[K, V]) answered(found map[K]V, err error, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, q := range l.asking {
		if q.err = err; err == nil {
			q.value, q.found = found[k]
			q.tag, q.until = l.tag(k, q.value, q.found), now.Add(l.keep)
			if !l.void && !l.stale[q.tag] {
				l.put(k, q.answer)
			}
		}
		close(q.done)
	}
	clear(l.asking)
}

// put keeps an answer. The caller holds mu.
func (l *lookup[K, V]) put(k K, a answer[V]) {
	for other := range l.kept { // any will do
		if len(l.kept) < l.maxKept {
			break
		}
		l.forget(other)
	}
	if l.kept == nil {
		l.kept, l.byTag = make(map[K]answer[V]), make(map[string]map[K]struct{})
	}
	l.forget(k)
	l.kept[k] = a
	if l.byTag[a.tag] == nil {
		l.byTag[a.tag] = make(map[K]struct{})
	}
	l.byTag[a.tag][k] = struct{}{}
}

func (l *lookup[K, V]) forget(k K) {
	a, ok := l.kept[k]
	if !ok {
		return
	}
	delete(l.kept, k)
	if keys := l.byTag[a.tag]; len(keys) > 1 {
		delete(keys, k)
	} else {
		delete(l.byTag, a.tag)
	}
}

// drop forgets the answers with a tag, those under way included.
func (l *lookup[K, V]) drop(tag string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.byTag[tag] {
		delete(l.kept, k)
	}
	delete(l.byTag, tag)
	if len(l.asking) > 0 {
		if l.stale == nil {
			l.stale = make(map[string]bool)
		}
		l.stale[tag] = true
	}
}

// clear forgets everything.
func (l *lookup[K, V]) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept, l.byTag = nil, nil
	l.void = true
}
