package main

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"time"

	"statustail/stream/change"
	"statustail/stream/live"
	"statustail/stream/status"
	"statustail/stream/store"
)

// loader has the store read for the live pages.
type loader struct{ *store.Store }

func (l loader) Load(ctx context.Context, slugs []string, after change.Position) (map[string]live.Reading, change.Position, error) {
	pages, at, err := l.Store.Load(ctx, slugs, after)
	readings := make(map[string]live.Reading, len(pages))
	for slug, page := range pages {
		encoded, err := json.Marshal(page)
		if err != nil {
			return nil, 0, err
		}
		h := fnv.New64a()
		h.Write(encoded)
		past := page.PastIncidents
		readings[slug] = live.Reading{Hash: h.Sum64(), Decode: func() (status.Page, error) {
			page.PastIncidents = past
			return page, nil
		}}
	}
	return readings, at, err
}

func (l loader) PastIncidents(ctx context.Context, wanted map[string][]string, after change.Position) (map[string]map[string]time.Time, error) {
	slugs := make([]string, 0, len(wanted))
	for slug := range wanted {
		slugs = append(slugs, slug)
	}
	pages, _, err := l.Store.Load(ctx, slugs, after)
	past := make(map[string]map[string]time.Time)
	for slug, page := range pages {
		past[slug] = page.PastIncidents
	}
	return past, err
}

func (l loader) Hosts(ctx context.Context, hosts []string, _ change.Position) (map[string]string, error) {
	found := make(map[string]string)
	for _, host := range hosts {
		slug, ok, err := l.PageByHost(ctx, host)
		if err != nil {
			return nil, err
		}
		if ok {
			found[host] = slug
		}
	}
	return found, nil
}

func (l loader) Issues(ctx context.Context, refs []live.IssueRef, _ change.Position) (map[live.IssueRef]status.Issue, error) {
	found := make(map[live.IssueRef]status.Issue)
	for _, ref := range refs {
		is, ok, err := l.Issue(ctx, ref.Page, ref.ID)
		if err != nil {
			return nil, err
		}
		if ok {
			found[ref] = is
		}
	}
	return found, nil
}
