package main

import "slices"

// serveCmd is statustail serve.
type serveCmd struct {
	serveConfig `embed:""`
}

func (c *serveCmd) Run(a *app) error {
	if err := c.validate(); err != nil {
		return err
	}
	c.tellUnused(a)
	return serve(a.ctx, c.serveConfig, a.stdout, a.stderr)
}

// tellUnused says so when the line asks for an embedded database and the
// environment names another.
func (c *serveCmd) tellUnused(a *app) {
	if c.MongodbURI == "" || a.given["mongodb-uri"] {
		return
	}
	embedded := []string{"data", "embedded-listen", "embedded-log-events", "embedded-log-size"}
	if i := slices.IndexFunc(embedded, func(flag string) bool { return a.given[flag] }); i >= 0 {
		a.note("statustail: --%s has no effect: %s in the environment names the database at %s; unset it to use the embedded one",
			embedded[i], envName("mongodb-uri"), address(c.MongodbURI))
	}
}
