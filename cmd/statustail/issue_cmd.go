package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"statustail/stream/store"
)

type issueCmd struct {
	Open     issueOpenCmd     `cmd:"" help:"Open an issue and print its id."`
	Schedule issueScheduleCmd `cmd:"" help:"Announce maintenance, or anything else that has its time, and print its id."`
	Update   issueUpdateCmd   `cmd:"" help:"Add an update to an issue."`
	Resolve  issueResolveCmd  `cmd:"" help:"Resolve an issue."`
	Reopen   issueReopenCmd   `cmd:"" help:"Open a resolved issue again."`
	Cancel   issueCancelCmd   `cmd:"" help:"Call off a scheduled issue."`
}

// issueFlags are what open and schedule have in common.
type issueFlags struct {
	databaseFlags `embed:""`
	Page          string   `required:"" help:"The page's slug."`
	Title         string   `required:"" help:"What is the matter, in a few words."`
	Component     []string `sep:"none" placeholder:"NAME" help:"A component that is affected, by name or id. Repeatable."`
	State         string   `help:"What it does to them: operational, degraded, partial_outage or outage. Default: nothing."`
	Label         string   `help:"Where things stand, such as Investigating."`
	Body          string   `help:"More about it, in Markdown."`
	Kind          string   `help:"incident, maintenance or informational."`
}

func (f *issueFlags) input() store.IssueInput {
	return store.IssueInput{
		Page: f.Page, Title: f.Title, Body: f.Body, Label: f.Label,
		Kind: f.Kind, State: f.State, Components: f.Component,
	}
}

type issueOpenCmd struct {
	issueFlags `embed:""`
}

func (c *issueOpenCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		id, err := s.OpenIssue(ctx, c.input())
		if err == nil {
			fmt.Fprintln(a.stdout, id)
		}
		return err
	})
}

type issueScheduleCmd struct {
	issueFlags `embed:""`
	Starts     string `required:"" placeholder:"TIME" help:"RFC 3339, such as 2026-11-21T16:00:00Z, or from now, such as +10m."`
	Ends       string `placeholder:"TIME" help:"The same; a duration counts from now. Default: open."`
}

func (c *issueScheduleCmd) Run(a *app) error {
	now := time.Now()
	in := c.input()
	var err error
	if in.StartsAt, err = parseTime("--starts", c.Starts, now); err != nil {
		return err
	}
	if c.Ends != "" {
		if in.EndsAt, err = parseTime("--ends", c.Ends, now); err != nil {
			return err
		}
	}
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		id, err := s.ScheduleIssue(ctx, in)
		if err == nil {
			fmt.Fprintln(a.stdout, id)
		}
		return err
	})
}

type issueUpdateCmd struct {
	databaseFlags `embed:""`
	ID            string `arg:"" help:"The issue's id."`
	Label         string `help:"Where things stand now, such as Identified."`
	Body          string `help:"What there is to say, in Markdown."`
	State         string `help:"What the issue does from now on: operational, degraded, partial_outage or outage."`
	Progress      *int   `placeholder:"N" help:"Progress in percent; alone it adds no update."`
}

func (c *issueUpdateCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		return s.UpdateIssue(ctx, c.ID, store.IssueUpdate{
			Label: c.Label, Body: c.Body, State: c.State, Progress: c.Progress,
		})
	})
}

// issueEndFlags are what the commands that end or reopen an issue take.
type issueEndFlags struct {
	databaseFlags `embed:""`
	ID            string `arg:"" help:"The issue's id."`
	Body          string `help:"What there is to say about it, in Markdown."`
}

type issueResolveCmd struct {
	issueEndFlags `embed:""`
}

func (c *issueResolveCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error { return s.ResolveIssue(ctx, c.ID, c.Body) })
}

type issueReopenCmd struct {
	issueEndFlags `embed:""`
}

func (c *issueReopenCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error { return s.ReopenIssue(ctx, c.ID, c.Body) })
}

type issueCancelCmd struct {
	issueEndFlags `embed:""`
}

func (c *issueCancelCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error { return s.CancelIssue(ctx, c.ID, c.Body) })
}

// parseTime reads RFC 3339, or a duration from now with a plus before it.
func parseTime(flag, s string, now time.Time) (time.Time, error) {
	if rest, ok := strings.CutPrefix(s, "+"); ok {
		if d, err := time.ParseDuration(rest); err == nil && d >= 0 {
			return now.Add(d).UTC(), nil
		}
	} else if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	return time.Time{}, usagef("%s %q: want a time such as 2026-11-21T16:00:00Z, or +10m for ten minutes from now", flag, s)
}
