package main

import (
	"fmt"
	"net/url"
	"strings"
)

type watchCmd struct {
	URL  string `arg:"" optional:"" help:"A page, such as http://localhost:8080/demo, or a live stream of it. With --ops: a server's ops address. Default there: http://127.0.0.1:9090."`
	JSON bool   `name:"json" help:"One event a line, as JSON."`
	Ops  bool   `help:"Follow the server's own live log instead: hints, reloads, publications, refusals."`
}

func (c *watchCmd) Run(a *app) error {
	address, err := c.stream()
	if err != nil {
		return err
	}
	w := watcher{url: address, notice: func(format string, args ...any) {
		fmt.Fprintf(a.stderr, "statustail: %s\n", printable(fmt.Sprintf(format, args...)))
	}}
	print := printLine
	switch {
	case c.JSON:
		print = printJSON
	case c.Ops:
		print = printOps
	}
	w.event = func(e event) error { return print(a.stdout, e) }
	// The server pings the streams of pages only.
	w.pinged = !c.Ops
	return w.run(a.ctx)
}

// stream is the address of the stream that the URL means: a page's address
// stands for its live stream.
func (c *watchCmd) stream() (string, error) {
	address := c.URL
	if address == "" {
		if !c.Ops {
			return "", usagef("watch what? give the address of a page, such as http://localhost:8080/demo")
		}
		address = "http://127.0.0.1:9090"
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", usagef("%q: want an address such as http://localhost:8080/demo", address)
	}
	path := strings.TrimRight(u.Path, "/")
	switch {
	case c.Ops && !strings.HasSuffix(path, "/tail"):
		path += "/tail"
	case !c.Ops && !strings.Contains(path, "/live/v2/"):
		path += "/live/v2/status_page"
	}
	u.Path, u.RawPath = path, ""
	return u.String(), nil
}
