package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"statustail/stream/status"
)

const (
	hostTime  = 30 * time.Second
	issueTime = 10 * time.Second
	maxHosts  = 10_000
	maxIssues = 1000

	// Each host is a key of one index, each issue a look-up by several ids.
	hostBatch  = 1000
	issueBatch = 100

	maxHostLength  = 253 // RFC 1035, 2.3.4, without the dots at both ends
	maxIssueLength = 200
)

// noPage is the tag of hosts that belong to no page: no slug is empty.
const noPage = ""

func (p *Pages) newHosts() *lookup[string, string] {
	return &lookup[string, string]{
		ctx: p.ctx, keep: hostTime, maxKept: maxHosts, batch: hostBatch,
		ask: func(ctx context.Context, hosts []string) (map[string]string, error) {
			return p.cfg.Loader.Hosts(ctx, hosts, p.reloads.position())
		},
		tag: func(_, slug string, _ bool) string { return slug },
	}
}

func (p *Pages) newIssues() *lookup[IssueRef, status.Issue] {
	return &lookup[IssueRef, status.Issue]{
		ctx: p.ctx, keep: issueTime, maxKept: maxIssues, batch: issueBatch,
		ask: func(ctx context.Context, refs []IssueRef) (map[IssueRef]status.Issue, error) {
			return p.cfg.Loader.Issues(ctx, refs, p.reloads.position())
		},
		tag: func(ref IssueRef, _ status.Issue, _ bool) string { return ref.ID },
	}
}

// Host finds the page of a custom host, given in lower case and without a
// port. It waits at most Patience. The error is ErrNotFound or ErrUnavailable.
func (p *Pages) Host(ctx context.Context, host string) (slug string, err error) {
	if host == "" || len(host) > maxHostLength {
		return "", fmt.Errorf("host %.80q: %w", host, ErrNotFound)
	}
	slug, err = look(ctx, p, p.hosts, host)
	if err != nil {
		return "", fmt.Errorf("host %s: %w", host, err)
	}
	return slug, nil
}

// Issue reads one issue of a page, however old. It waits at most Patience. The
// error is ErrNotFound or ErrUnavailable.
func (p *Pages) Issue(ctx context.Context, page, id string) (status.Issue, error) {
	if id == "" || len(id) > maxIssueLength {
		return status.Issue{}, fmt.Errorf("issue %.80q: %w", id, ErrNotFound)
	}
	is, err := look(ctx, p, p.issues, IssueRef{page, id})
	if err != nil {
		return is, fmt.Errorf("issue %.80q of page %s: %w", id, page, err)
	}
	return is, nil
}

func look[K comparable, V any](ctx context.Context, p *Pages, l *lookup[K, V], k K) (v V, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Patience)
	defer cancel()
	select {
	case <-p.caughtUp: // before that no position is known to read after
	case <-ctx.Done():
		return v, ErrUnavailable
	}
	v, found, err := l.get(ctx, k)
	switch {
	case err != nil && ctx.Err() == nil:
		p.metrics.loadErrors.Inc()
		return v, fmt.Errorf("%w (%w)", ErrUnavailable, err)
	case err != nil && !errors.Is(err, ErrUnavailable):
		return v, ErrUnavailable
	case err != nil:
		return v, err
	case !found:
		return v, ErrNotFound
	}
	return v, nil
}
