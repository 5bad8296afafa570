package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"statustail/stream/status"
	"statustail/stream/store"
)

type issueCmd struct {
	List     issueListCmd     `cmd:"" help:"List the issues of a page that are standing or upcoming."`
	Show     issueShowCmd     `cmd:"" help:"Show an issue and its story."`
	Open     issueOpenCmd     `cmd:"" help:"Open an issue and print its id."`
	Schedule issueScheduleCmd `cmd:"" help:"Announce maintenance, or anything else that has its time, and print its id."`
	Update   issueUpdateCmd   `cmd:"" help:"Add an update to an issue."`
	Resolve  issueResolveCmd  `cmd:"" help:"Resolve an issue."`
	Reopen   issueReopenCmd   `cmd:"" help:"Open a resolved issue again."`
	Cancel   issueCancelCmd   `cmd:"" help:"Call off a scheduled issue."`
	Edit     issueEditCmd     `cmd:"" help:"Change what an issue itself says: its title, its times, its components."`
	Delete   issueDeleteCmd   `cmd:"" help:"Delete an issue as if it had never been."`
}

// issueFlags are what open and schedule have in common.
type issueFlags struct {
	databaseFlags `embed:""`
	Page          string   `required:"" placeholder:"SLUG" help:"The page's slug."`
	Title         string   `required:"" help:"What is the matter, in a few words."`
	Component     []string `sep:"none" placeholder:"NAME" help:"A component that is affected, by name or id. Repeatable."`
	State         string   `help:"What it does to them: operational, degraded, partial_outage or outage. Default: nothing."`
	Label         string   `placeholder:"WORD" help:"Where things stand. Default: Investigating, or Scheduled."`
	Body          string   `help:"More about it, in Markdown."`
	Kind          string   `placeholder:"KIND" help:"incident, maintenance or informational. Default: incident, or maintenance where it is scheduled."`
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
			c.wroteIssue(ctx, a, s, id, "opened")
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
			c.wroteIssue(ctx, a, s, id, "scheduled")
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
		err := s.UpdateIssue(ctx, c.ID, store.IssueUpdate{
			Label: c.Label, Body: c.Body, State: c.State, Progress: c.Progress,
		})
		if err == nil {
			c.wroteIssue(ctx, a, s, c.ID, "updated")
		}
		return err
	})
}

// issueEndFlags are what the commands that end or reopen an issue take.
type issueEndFlags struct {
	databaseFlags `embed:""`
	ID            string `arg:"" help:"The issue's id."`
	Body          string `help:"What there is to say about it, in Markdown."`
}

// end makes one of those writes and says so.
func (f *issueEndFlags) end(a *app, done string, write func(s *store.Store, ctx context.Context, id, body string) error) error {
	return f.with(a, func(ctx context.Context, s *store.Store) error {
		err := write(s, ctx, f.ID, f.Body)
		if err == nil {
			f.wroteIssue(ctx, a, s, f.ID, done)
		}
		return err
	})
}

type issueResolveCmd struct {
	issueEndFlags `embed:""`
}

func (c *issueResolveCmd) Run(a *app) error {
	return c.end(a, "resolved", (*store.Store).ResolveIssue)
}

type issueReopenCmd struct {
	issueEndFlags `embed:""`
}

func (c *issueReopenCmd) Run(a *app) error {
	return c.end(a, "reopened", (*store.Store).ReopenIssue)
}

type issueCancelCmd struct {
	issueEndFlags `embed:""`
}

func (c *issueCancelCmd) Run(a *app) error {
	return c.end(a, "cancelled", (*store.Store).CancelIssue)
}

type issueEditCmd struct {
	databaseFlags `embed:""`
	ID            string   `arg:"" help:"The issue's id."`
	Title         *string  `help:"What is the matter, in a few words."`
	Component     []string `sep:"none" placeholder:"NAME" help:"A component that is affected, by name or id. Repeatable; replaces the present ones; empty for none."`
	State         *string  `help:"What it does to them until an update says otherwise: operational, degraded, partial_outage or outage; empty for nothing."`
	Label         *string  `help:"Where things stood when it was opened; empty for none."`
	Body          *string  `help:"More about it, in Markdown; empty for none."`
	Kind          *string  `help:"incident, maintenance or informational."`
	Starts        *string  `placeholder:"TIME" help:"Of a scheduled issue: RFC 3339, such as 2026-11-21T16:00:00Z, or from now, such as +10m."`
	Ends          *string  `placeholder:"TIME" help:"The same; empty for open."`
}

func (c *issueEditCmd) Run(a *app) error {
	in := store.IssueEdit{
		Title: c.Title, Components: list(c.Component), State: c.State, Label: c.Label, Body: c.Body, Kind: c.Kind,
	}
	now := time.Now()
	if c.Starts != nil {
		starts, err := parseTime("--starts", *c.Starts, now)
		if err != nil {
			return err
		}
		in.StartsAt = &starts
	}
	if c.Ends != nil {
		in.EndsAt = new(time.Time)
		if *c.Ends != "" {
			ends, err := parseTime("--ends", *c.Ends, now)
			if err != nil {
				return err
			}
			in.EndsAt = &ends
		}
	}
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		err := s.EditIssue(ctx, c.ID, in)
		if err == nil {
			c.wroteIssue(ctx, a, s, c.ID, "changed")
		}
		return err
	})
}

type issueDeleteCmd struct {
	deleteFlags `embed:""`
	ID          string `arg:"" help:"The issue's id."`
}

func (c *issueDeleteCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		r, err := s.GetIssue(ctx, c.ID)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("issue %s (%s)", r.ID, fits(r.Fits, r.Value.Title))
		if err := c.confirmed(fmt.Sprintf("%s of page %s, with %s", what, r.Page, amount(len(r.Value.Updates), "update"))); err != nil {
			return err
		}
		if err := s.DeleteIssue(ctx, c.ID); err != nil {
			return err
		}
		c.wrote(a, "%s deleted from page %s", what, r.Page)
		return nil
	})
}

const issueHeader = "ID TITLE KIND PHASE STATE LABEL COMPONENTS SINCE"

func issueRow(iv status.IssueView) []string {
	since := orElse(iv.BeganAt, iv.CreatedAt)
	if iv.Schedule != nil && iv.BeganAt.IsZero() {
		since = iv.Schedule.StartsAt
	}
	return []string{iv.ID, iv.Title, string(iv.Kind), iv.Phase.String(), iv.Effective().String(), labelOf(iv), names(iv.Affected), moment(since)}
}

// labelOf is an issue's newest label.
func labelOf(iv status.IssueView) string {
	if len(iv.Updates) > 0 {
		return cmp.Or(iv.Updates[0].Label, iv.Label)
	}
	return iv.Label
}

func names(components []status.ComponentView) string {
	var all []string
	for _, c := range components {
		all = append(all, c.Name)
	}
	return strings.Join(all, ", ")
}

func orElse(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

type issueListCmd struct {
	readFlags `embed:""`
	Page      string `required:"" placeholder:"SLUG" help:"The page's slug."`
	All       bool   `help:"List those too that are over, however old."`
	Limit     int    `default:"50" placeholder:"N" help:"How many at most, the newest first."`
}

func (c *issueListCmd) Run(a *app) error {
	if c.Limit < 1 {
		return usagef("--limit must be at least 1")
	}
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		issues, err := s.ListIssues(ctx, c.Page, c.All, c.Limit)
		if err != nil {
			return err
		}
		if c.JSON {
			for _, r := range issues {
				if err := printDocument(a.stdout, r.JSON); err != nil {
					return err
				}
			}
			return nil
		}
		page, err := viewOf(ctx, s, c.Page)
		if err != nil {
			return err
		}
		rows := make([][]string, len(issues))
		for i, r := range issues {
			rows[i] = []string{r.ID, fits(false, ""), "", "", "", "", "", ""}
			if r.Fits {
				rows[i] = issueRow(issueOn(page, r.Value))
			}
		}
		if err := printTable(a.stdout, issueHeader, rows); err != nil {
			return err
		}
		if len(issues) == c.Limit {
			a.note("the newest %s: there may be more, see --limit", amount(c.Limit, "issue"))
		}
		return nil
	})
}

// issueOn is an issue as its page's rules have it, however old it is.
func issueOn(page status.View, issue status.Issue) status.IssueView {
	p := *page.Page
	p.Issues = []status.Issue{issue}
	iv, _ := p.At(page.At).Issue(issue.ID)
	return iv
}

type issueShowCmd struct {
	readFlags `embed:""`
	ID        string `arg:"" help:"The issue's id."`
}

func (c *issueShowCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		r, err := s.GetIssue(ctx, c.ID)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return printDocument(a.stdout, r.JSON)
		case !r.Fits:
			return fmt.Errorf("issue %s does not fit the schema: see the document with --json", r.ID)
		}
		page, err := viewOf(ctx, s, r.Page)
		if err != nil {
			return err
		}
		iv := issueOn(page, r.Value)
		progress, starts, ends := "", "", ""
		if iv.Progress != nil {
			progress = fmt.Sprint(*iv.Progress, " %")
		}
		if iv.Schedule != nil {
			starts, ends = moment(iv.Schedule.StartsAt), moment(iv.Schedule.EndsAt)
		}
		if err := printFacts(a.stdout, "issue", iv.ID, "page", r.Page, "title", iv.Title, "kind", string(iv.Kind), "phase", iv.Phase.String(),
			"state", iv.Effective().String(), "label", labelOf(iv), "components", names(iv.Affected), "progress", progress,
			"created", moment(iv.CreatedAt), "starts", starts, "ends", ends, "began", moment(iv.BeganAt), "ended", moment(iv.EndedAt),
			"resolved", moment(iv.ResolvedAt), "cancelled", moment(iv.CancelledAt)); err != nil {
			return err
		}
		printText(a.stdout, "body", iv.Body.Plain)
		for _, u := range iv.Updates {
			title := moment(u.CreatedAt) + " " + u.Label
			if u.State != status.Pending {
				title += " (" + u.State.String() + ")"
			}
			printText(a.stdout, title, cmp.Or(u.Body.Plain, "-"))
		}
		return nil
	})
}

// wroteIssue says in one line what was written of an issue, and in another
// when its state is at odds with what the page's components say.
func (f *databaseFlags) wroteIssue(ctx context.Context, a *app, s *store.Store, id, done string) {
	r, err := s.GetIssue(ctx, id)
	if err != nil || !r.Fits { // written all the same
		f.wrote(a, "issue %s %s", id, done)
		return
	}
	f.wrote(a, "issue %s (%s) %s on page %s", id, r.Value.Title, done, r.Page)
	page, err := viewOf(ctx, s, r.Page)
	if err != nil {
		return
	}
	iv, worst := issueOn(page, r.Value), status.Pending
	for _, c := range page.Components {
		worst = max(worst, c.State)
	}
	if effective := iv.Effective(); iv.Phase.Open() && effective.Affects() && len(iv.Affected) == 0 && len(page.Components) > 0 && effective > worst {
		a.note("warning: issue %s names no component, so the page as a whole says %s and each of its components %s or better: name some with statustail issue edit %s --component NAME",
			id, effective, cmp.Or(worst.String(), "nothing"), id)
	}
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
