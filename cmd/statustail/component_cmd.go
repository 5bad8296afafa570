package main

import (
	"context"
	"fmt"

	"statustail/stream/status"
	"statustail/stream/store"
)

type componentCmd struct {
	List   componentListCmd   `cmd:"" help:"List the components of a page."`
	Show   componentShowCmd   `cmd:"" help:"Show a component."`
	Put    componentPutCmd    `cmd:"" help:"Create a component, or change the given parts of one, and print its id."`
	Edit   componentEditCmd   `cmd:"" help:"Change the given parts of a component that exists."`
	State  componentStateCmd  `cmd:"" help:"Set a component's state."`
	Delete componentDeleteCmd `cmd:"" help:"Delete a component and its history."`
}

// componentParts are the parts of a component beside its name.
type componentParts struct {
	Group       *string `help:"The group it is shown in."`
	Description *string `help:"What it is, in Markdown."`
	Position    *int    `placeholder:"N" help:"Its place in the list. Default for a new one: the last."`
}

type componentPutCmd struct {
	databaseFlags  `embed:""`
	Page           string `required:"" placeholder:"SLUG" help:"The page's slug."`
	Name           string `required:"" help:"What the component is called."`
	componentParts `embed:""`
}

func (c *componentPutCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		id, created, err := s.PutComponent(ctx, store.ComponentInput{
			Page: c.Page, Name: c.Name, Group: c.Group, Description: c.Description, Position: c.Position,
		})
		if err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, printable(id))
		c.wrote(a, "component %s (%s) %s on page %s", c.Name, id, createdOr(created, "changed"), c.Page)
		return nil
	})
}

// componentFlags name a component.
type componentFlags struct {
	Page string `required:"" placeholder:"SLUG" help:"The page's slug."`
	Ref  string `arg:"" name:"component" help:"The component's name or id."`
}

type componentEditCmd struct {
	databaseFlags  `embed:""`
	componentFlags `embed:""`
	Name           *string `help:"What it is to be called."`
	componentParts `embed:""`
}

func (c *componentEditCmd) Run(a *app) error {
	in := store.ComponentInput{Page: c.Page, Group: c.Group, Description: c.Description, Position: c.Position}
	if c.Name != nil {
		if in.Name = *c.Name; in.Name == "" {
			return usagef("name must not be empty")
		}
	}
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		id, err := s.EditComponent(ctx, c.Ref, in)
		if err == nil {
			c.wrote(a, "component %s (%s) changed on page %s", or(in.Name, c.Ref), id, c.Page)
		}
		return err
	})
}

type componentStateCmd struct {
	databaseFlags  `embed:""`
	componentFlags `embed:""`
	State          string `arg:"" help:"operational, degraded, partial_outage or outage."`
}

func (c *componentStateCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		changed, err := s.SetComponentState(ctx, c.Page, c.Ref, c.State)
		if err != nil {
			return err
		}
		if changed {
			c.wrote(a, "component %s on page %s is %s", c.Ref, c.Page, c.State)
		} else {
			c.wrote(a, "component %s on page %s was %s already", c.Ref, c.Page, c.State)
		}
		return nil
	})
}

const componentHeader = "ID NAME GROUP STATE"

func componentRow(c status.ComponentView) []string {
	return []string{c.ID, c.Name, c.Group, stateWord(c.State, c.Maintenance)}
}

type componentListCmd struct {
	readFlags `embed:""`
	Page      string `required:"" placeholder:"SLUG" help:"The page's slug."`
}

func (c *componentListCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		components, err := s.ListComponents(ctx, c.Page)
		if err != nil {
			return err
		}
		if c.JSON {
			for _, r := range components {
				if err := printDocument(a.stdout, r.JSON); err != nil {
					return err
				}
			}
			return nil
		}
		v, err := viewOf(ctx, s, c.Page)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, c := range v.Components {
			rows = append(rows, componentRow(c))
		}
		for _, r := range components {
			if !r.Fits {
				rows = append(rows, []string{r.ID, fits(false, ""), "", ""})
			}
		}
		return printTable(a.stdout, componentHeader, rows)
	})
}

type componentShowCmd struct {
	readFlags      `embed:""`
	componentFlags `embed:""`
}

func (c *componentShowCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		r, err := s.GetComponent(ctx, c.Page, c.Ref)
		switch {
		case err != nil:
			return err
		case c.JSON:
			return printDocument(a.stdout, r.JSON)
		case !r.Fits:
			return fmt.Errorf("component %s does not fit the schema: see the document with --json", r.ID)
		}
		page, err := viewOf(ctx, s, c.Page)
		if err != nil {
			return err
		}
		v, ok := page.Component(r.ID)
		if !ok {
			return fmt.Errorf("component %s was deleted meanwhile", c.Ref)
		}
		shown := v.Components[0]
		if err := printFacts(a.stdout, "component", r.ID, "page", c.Page, "name", shown.Name, "group", shown.Group,
			"state", stateWord(shown.State, shown.Maintenance), "its own state", stateWord(r.Value.State, false), "uptime", uptime(v),
			"position", fmt.Sprint(r.Value.Position), "created", moment(r.Value.CreatedAt)); err != nil {
			return err
		}
		printText(a.stdout, "description", shown.Description.Plain)
		return nil
	})
}

type componentDeleteCmd struct {
	deleteFlags    `embed:""`
	componentFlags `embed:""`
}

func (c *componentDeleteCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		r, err := s.GetComponent(ctx, c.Page, c.Ref)
		if err != nil {
			return err
		}
		if err := c.confirmed(fmt.Sprintf("component %s (%s) of page %s, with its history", c.Ref, r.ID, c.Page)); err != nil {
			return err
		}
		id, err := s.DeleteComponent(ctx, c.Page, c.Ref)
		if err == nil {
			c.wrote(a, "component %s (%s) deleted from page %s", c.Ref, id, c.Page)
		}
		return err
	})
}
