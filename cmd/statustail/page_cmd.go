package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"statustail/stream/status"
	"statustail/stream/store"
)

type pageCmd struct {
	List   pageListCmd   `cmd:"" help:"List the pages."`
	Show   pageShowCmd   `cmd:"" help:"Show a page, its components and its open issues."`
	Put    pagePutCmd    `cmd:"" help:"Create a page, or change the given parts of one."`
	Edit   pageEditCmd   `cmd:"" help:"Change the given parts of a page that exists."`
	Delete pageDeleteCmd `cmd:"" help:"Delete a page, its components and its issues."`
}

// readFlags are what the commands that read take.
type readFlags struct {
	databaseFlags `embed:""`
	JSON          bool `name:"json" help:"Print the documents themselves, one a line, as JSON."`
}

// deleteFlags are what the commands take by which something is lost.
type deleteFlags struct {
	databaseFlags `embed:""`
	Yes           bool `help:"Do it: what is deleted is lost."`
}

// confirmed is nil with --yes; without it, the error says what would be lost.
func (f *deleteFlags) confirmed(what string) error {
	if f.Yes {
		return nil
	}
	return usagef("%s would be lost: give --yes to delete it", what)
}

// pageFlags are the parts of a page.
type pageFlags struct {
	databaseFlags `embed:""`
	ID            string   `arg:"" name:"page" help:"The page's slug: lower-case letters, digits and hyphens."`
	Name          *string  `help:"What it is called. A new page needs it."`
	URL           *string  `help:"The address that a widget links to; empty for none."`
	Host          []string `help:"A custom domain that shows the page. Repeatable; replaces the present ones; empty for none."`
	Origin        []string `help:"A site that may embed the page, such as https://example.com, or * for any. Repeatable; replaces the present ones; empty for none."`
	Private       *bool    `negatable:"" help:"Show the page to nobody without a token."`
	Locale        *string  `help:"The page's language, such as en or pt-BR; empty for none."`
	TimeZone      *string  `help:"The page's time zone, such as Europe/Berlin; empty for none."`
}

func (f *pageFlags) input() (store.PageInput, error) {
	in := store.PageInput{
		ID: f.ID, URL: f.URL, Hosts: list(f.Host), Origins: list(f.Origin),
		Private: f.Private, Locale: f.Locale, TimeZone: f.TimeZone,
	}
	if f.Name != nil {
		if in.Name = *f.Name; in.Name == "" {
			return in, usagef("name must not be empty")
		}
	}
	return in, nil
}

type pagePutCmd struct {
	pageFlags `embed:""`
}

func (c *pagePutCmd) Run(a *app) error {
	in, err := c.input()
	if err != nil {
		return err
	}
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		created, err := s.PutPage(ctx, in)
		if err == nil {
			c.wrote(a, "page %s %s", c.ID, createdOr(created, "changed"))
		}
		return err
	})
}

type pageEditCmd struct {
	pageFlags `embed:""`
}

func (c *pageEditCmd) Run(a *app) error {
	in, err := c.input()
	if err != nil {
		return err
	}
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		err := s.EditPage(ctx, in)
		if err == nil {
			c.wrote(a, "page %s changed", c.ID)
		}
		return err
	})
}

type pageListCmd struct {
	readFlags `embed:""`
}

func (c *pageListCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		pages, err := s.ListPages(ctx)
		if err != nil {
			return err
		}
		rows := make([][]string, 0, len(pages))
		for _, p := range pages {
			if c.JSON {
				if err := printDocument(a.stdout, p.JSON); err != nil {
					return err
				}
				continue
			}
			rows = append(rows, []string{p.ID, fits(p.Fits, p.Value.Name), yesNo(p.Value.Private), strings.Join(p.Value.Hosts, " "), strings.Join(p.Value.Origins, " ")})
		}
		if c.JSON {
			return nil
		}
		return printTable(a.stdout, "PAGE NAME PRIVATE HOSTS ORIGINS", rows)
	})
}

// fits is a text of a document, or that the document does not fit the schema.
func fits(ok bool, text string) string {
	if ok {
		return text
	}
	return "(does not fit the schema)"
}

type pageShowCmd struct {
	readFlags `embed:""`
	ID        string `arg:"" name:"page" help:"The page's slug."`
}

func (c *pageShowCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		r, err := s.GetPage(ctx, c.ID)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return printDocument(a.stdout, r.JSON)
		case !r.Fits:
			return fmt.Errorf("page %s does not fit the schema: see the document with --json", c.ID)
		}
		v, err := viewOf(ctx, s, c.ID)
		if err != nil {
			return err
		}
		p := r.Value
		if err := printFacts(a.stdout, "page", p.ID, "name", p.Name, "url", p.URL, "state", stateWord(v.State, false), "uptime", uptime(v),
			"hosts", strings.Join(p.Hosts, " "), "origins", strings.Join(p.Origins, " "), "private", yesNo(p.Private),
			"locale", p.Locale, "time zone", p.TimeZone, "created", moment(p.CreatedAt)); err != nil {
			return err
		}
		if len(v.Components) > 0 {
			fmt.Fprintln(a.stdout)
			rows := make([][]string, len(v.Components))
			for i, c := range v.Components {
				rows[i] = componentRow(c)
			}
			if err := printTable(a.stdout, componentHeader, rows); err != nil {
				return err
			}
		}
		if len(v.Issues) == 0 {
			return nil
		}
		fmt.Fprintln(a.stdout)
		rows := make([][]string, len(v.Issues))
		for i, iv := range v.Issues {
			rows[i] = issueRow(iv)
		}
		return printTable(a.stdout, issueHeader, rows)
	})
}

// viewOf is what a page amounts to now, as visitors see it.
func viewOf(ctx context.Context, s *store.Store, slug string) (status.View, error) {
	found, _, err := s.Load(ctx, []string{slug}, 0)
	if err != nil {
		return status.View{}, err
	}
	r, ok := found[slug]
	if !ok {
		return status.View{}, fmt.Errorf("page %s was deleted meanwhile", slug)
	}
	page, err := r.Decode()
	if err != nil {
		return status.View{}, fmt.Errorf("page %s does not fit the schema: %w", slug, err)
	}
	return page.At(time.Now()), nil
}

// uptime is that of a view, as it is shown; empty where nothing is known.
func uptime(v status.View) string {
	if v.State == status.Pending {
		return ""
	}
	return status.FormatPercent(v.PercentUptime(v.At)) + " % in 30 days"
}

// stateWord is a state in the words of the schema.
func stateWord(s status.State, maintenance bool) string {
	switch {
	case maintenance:
		return "maintenance"
	case s == status.Pending:
		return "unknown"
	}
	return s.String()
}

type pageDeleteCmd struct {
	deleteFlags `embed:""`
	ID          string `arg:"" name:"page" help:"The page's slug."`
}

func (c *pageDeleteCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		in, err := s.PageContents(ctx, c.ID)
		if err != nil {
			return err
		}
		if err := c.confirmed(fmt.Sprintf("page %s, with %s", c.ID, contents(in))); err != nil {
			return err
		}
		in, err = s.DeletePage(ctx, c.ID)
		if err == nil {
			c.wrote(a, "page %s deleted, with %s", c.ID, contents(in))
		}
		return err
	})
}

func contents(in store.Contents) string {
	return amount(in.Components, "component") + " and " + amount(in.Issues, "issue")
}

// list is a repeatable flag: nil when absent, no element when it was given the
// empty string.
func list(values []string) []string {
	if len(values) == 1 && values[0] == "" {
		return []string{}
	}
	return values
}

func createdOr(created bool, otherwise string) string {
	if created {
		return "created"
	}
	return otherwise
}
