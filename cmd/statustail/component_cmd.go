package main

import (
	"context"
	"fmt"

	"statustail/stream/store"
)

type componentCmd struct {
	Put   componentPutCmd   `cmd:"" help:"Create a component, or change the given parts of one."`
	State componentStateCmd `cmd:"" help:"Set a component's state."`
}

type componentPutCmd struct {
	databaseFlags `embed:""`
	Page          string  `required:"" help:"The page's slug."`
	Name          string  `required:"" help:"What the component is called."`
	Group         *string `help:"The group it is shown in."`
	Description   *string `help:"What it is, in Markdown."`
	Position      *int    `help:"Its place in the list. Default for a new one: the last."`
}

func (c *componentPutCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		id, created, err := s.PutComponent(ctx, store.ComponentInput{
			Page: c.Page, Name: c.Name, Group: c.Group, Description: c.Description, Position: c.Position,
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "component %s %s\n", printable(id), createdOr(created, "changed"))
		return nil
	})
}

type componentStateCmd struct {
	databaseFlags `embed:""`
	Page          string `required:"" help:"The page's slug."`
	Name          string `arg:"" help:"The component's name or id."`
	State         string `arg:"" help:"operational, degraded, partial_outage or outage."`
}

func (c *componentStateCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		changed, err := s.SetComponentState(ctx, c.Page, c.Name, c.State)
		if err != nil {
			return err
		}
		if changed {
			fmt.Fprintf(a.stdout, "%s is %s\n", c.Name, c.State)
		} else {
			fmt.Fprintf(a.stdout, "%s was %s already\n", c.Name, c.State)
		}
		return nil
	})
}
