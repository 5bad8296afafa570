package main

import (
	"context"
	"fmt"

	"statustail/stream/store"
)

type publishCmd struct {
	databaseFlags `embed:""`
	Page          string `required:"" placeholder:"SLUG" help:"The page's slug."`
	Name          string `required:"" placeholder:"NAME" help:"The event's name: a-z, 0-9, _, . and -."`
	Data          string `required:"" placeholder:"JSON" help:"What it carries: one JSON value."`
	Key           string `help:"A later event of the same name and key replaces this one for readers that lag."`
}

func (c *publishCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		id, err := s.Publish(ctx, store.EventInput{Page: c.Page, Name: c.Name, Key: c.Key, Data: []byte(c.Data)})
		if err == nil {
			fmt.Fprintln(a.stdout, id)
			c.wrote(a, "event %s %s published on page %s", c.Name, id, c.Page)
		}
		return err
	})
}
