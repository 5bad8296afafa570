package main

import (
	"context"

	"statustail/stream/change"
	"statustail/stream/live"
	"statustail/stream/status"
	"statustail/stream/store"
)

// A loader has the store read for the live pages, which name what they want in
// types of their own.
type loader struct{ *store.Store }

func (l loader) Load(ctx context.Context, slugs []string, after change.Position) (map[string]live.Reading, change.Position, error) {
	pages, at, err := l.Store.Load(ctx, slugs, after)
	if err != nil {
		return nil, 0, err
	}
	readings := make(map[string]live.Reading, len(pages))
	for slug, r := range pages {
		readings[slug] = live.Reading(r)
	}
	return readings, at, nil
}

func (l loader) Issues(ctx context.Context, refs []live.IssueRef, after change.Position) (map[live.IssueRef]status.Issue, error) {
	wanted := make([]store.IssueRef, len(refs))
	for i, ref := range refs {
		wanted[i] = store.IssueRef(ref)
	}
	found, err := l.Store.Issues(ctx, wanted, after)
	issues := make(map[live.IssueRef]status.Issue, len(found))
	for ref, issue := range found {
		issues[live.IssueRef(ref)] = issue
	}
	return issues, err
}
