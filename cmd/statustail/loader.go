package main

import (
	"context"
	"time"

	"statustail/stream/change"
	"statustail/stream/status"
	"statustail/stream/store"
)

// A loader reads pages for package live, each decoded and with its past.
type loader struct{ store *store.Store }

func (l loader) Load(ctx context.Context, slugs []string, after change.Position) (map[string]status.Page, change.Position, error) {
	readings, at, err := l.store.Load(ctx, slugs, after)
	if err != nil {
		return nil, 0, err
	}
	pages := make(map[string]status.Page, len(readings))
	wanted := make(map[string][]string, len(readings))
	for slug, r := range readings {
		page, err := r.Decode()
		if err != nil {
			continue
		}
		pages[slug] = page
		wanted[slug] = []string{""}
		for _, c := range page.Components {
			wanted[slug] = append(wanted[slug], c.ID)
		}
	}
	past, err := l.store.PastIncidents(ctx, wanted, at)
	if err != nil {
		return nil, 0, err
	}
	for slug, ended := range past {
		page := pages[slug]
		page.PastIncidents = ended
		pages[slug] = page
	}
	if at == 0 { // no cluster time: the second that begins after the reads
		at = change.NewPosition(uint32(time.Now().Unix())+1, 0)
	}
	return pages, at, nil
}

func (l loader) PageByHost(ctx context.Context, host string) (slug string, found bool, err error) {
	slugs, err := l.store.Hosts(ctx, []string{host}, 0)
	slug, found = slugs[host]
	return slug, found, err
}

func (l loader) Issue(ctx context.Context, page, id string) (issue status.Issue, found bool, err error) {
	ref := store.IssueRef{Page: page, ID: id}
	issues, err := l.store.Issues(ctx, []store.IssueRef{ref}, 0)
	issue, found = issues[ref]
	return issue, found, err
}
