package main

import (
	"context"
	"fmt"

	"statustail/stream/store"
)

type initCmd struct {
	databaseFlags `embed:""`
	Capped        bool `help:"For a standalone mongod: make events a capped collection, which is followed there."`
}

func (c *initCmd) Run(a *app) error {
	return c.with(a, func(ctx context.Context, s *store.Store) error {
		report, err := s.Init(ctx, store.InitOptions{Capped: c.Capped})
		for _, done := range report.Done {
			fmt.Fprintln(a.stdout, done)
		}
		for _, skipped := range report.Skipped {
			fmt.Fprintln(a.stdout, "skipped:", skipped)
		}
		if err == nil {
			c.wrote(a, "prepared")
		}
		return err
	})
}
