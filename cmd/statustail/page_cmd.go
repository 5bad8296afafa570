package main

import (
	"context"
	"fmt"

	"statustail/stream/store"
)

type pageCmd struct {
	Put pagePutCmd `cmd:"" help:"Create a page, or change the given parts of one."`
}

type pagePutCmd struct {
	databaseFlags `embed:""`
	ID            string   `arg:"" help:"The page's slug: lower-case letters, digits and hyphens."`
	Name          string   `required:"" help:"What it is called."`
	URL           string   `help:"The address that a widget links to."`
	Host          []string `help:"A custom domain that shows the page. Repeatable; replaces the present ones; '' for none."`
	Origin        []string `help:"A site that may embed the page, such as https://example.com, or * for any. Repeatable; replaces the present ones; '' for none."`
	Private       *bool    `negatable:"" help:"Show the page to nobody without a token."`
	Locale        string   `help:"The page's language, such as en or pt-BR."`
	TimeZone      string   `help:"The page's time zone, such as Europe/Berlin."`
}

func (c *pagePutCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		created, err := s.PutPage(ctx, store.PageInput{
			ID: c.ID, Name: c.Name, URL: c.URL, Hosts: list(c.Host), Origins: list(c.Origin),
			Private: c.Private, Locale: c.Locale, TimeZone: c.TimeZone,
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "page %s %s\n", c.ID, createdOr(created, "changed"))
		return nil
	})
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
