package main

// serveCmd is statustail serve.
type serveCmd struct {
	serveConfig `embed:""`
}

func (c *serveCmd) Run(a *app) error {
	if err := c.validate(); err != nil {
		return err
	}
	return serve(a.ctx, c.serveConfig, a.stdout, a.stderr)
}
