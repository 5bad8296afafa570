package live

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
)

// hosts remembers which page a custom host belongs to, and which hosts belong
// to none. Any hint about a page empties it.
type hosts struct {
	found map[string]hostEntry
	// generation counts the times it was emptied: an answer read before must
	// not be remembered after.
	generation uint64
	asking     singleflight.Group
	inFlight   int
}

type hostEntry struct {
	slug  string // empty: no page has it
	until time.Time
}

const (
	maxHosts      = 10_000
	hostTime      = 30 * time.Second
	maxHostLoads  = 4
	maxHostLength = 253 // RFC 1035, 2.3.4, without the dots at both ends
)

func (h *hosts) clear() {
	clear(h.found)
	h.generation++
}

// Host finds the page of a custom host, given in lower case and without a
// port. The error is ErrNotFound or ErrUnavailable.
func (p *Pages) Host(ctx context.Context, host string) (slug string, err error) {
	if host == "" || len(host) > maxHostLength {
		return "", fmt.Errorf("host %.80q: %w", host, ErrNotFound)
	}
	p.mu.Lock()
	e, ok := p.hosts.found[host]
	p.mu.Unlock()
	if !ok || time.Now().After(e.until) {
		answer := p.hosts.asking.DoChan(host, func() (any, error) { return p.askHost(host) })
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("host %s: %w", host, ErrUnavailable)
		case a := <-answer:
			if a.Err != nil {
				return "", a.Err
			}
			e = a.Val.(hostEntry)
		}
	}
	if e.slug == "" {
		return "", fmt.Errorf("host %s: %w", host, ErrNotFound)
	}
	return e.slug, nil
}

func (p *Pages) askHost(host string) (hostEntry, error) {
	p.mu.Lock()
	generation := p.hosts.generation
	if p.hosts.inFlight >= maxHostLoads {
		p.mu.Unlock()
		return hostEntry{}, fmt.Errorf("host %s: %w", host, ErrUnavailable)
	}
	p.hosts.inFlight++
	p.mu.Unlock()

	ctx, cancel := context.WithTimeout(p.ctx, p.cfg.Patience)
	defer cancel()
	slug, found, err := p.cfg.Loader.PageByHost(ctx, host)

	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts.inFlight--
	if err != nil {
		p.metrics.loadErrors.Inc()
		return hostEntry{}, fmt.Errorf("host %s: %w (%v)", host, ErrUnavailable, err)
	}
	if !found {
		slug = ""
	}
	e := hostEntry{slug: slug, until: time.Now().Add(hostTime)}
	if generation == p.hosts.generation {
		for other := range p.hosts.found { // any will do
			if len(p.hosts.found) < maxHosts {
				break
			}
			delete(p.hosts.found, other)
		}
		p.hosts.found[host] = e
	}
	return e, nil
}
