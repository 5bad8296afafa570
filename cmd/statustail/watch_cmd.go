package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"

	"statustail/stream/hund"
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
	var known hund.State
	w.event = func(e event) error {
		if c.Ops {
			return print(a.stdout, e)
		}
		return printAll(a.stdout, print, e, &known)
	}
	// The server pings the streams of pages only.
	w.pinged = !c.Ops
	return w.run(a.ctx)
}

// printAll prints an event, and, of an init_event that is not the first, what
// happened since the last event that came.
func printAll(w io.Writer, print func(io.Writer, event) error, e event, known *hund.State) error {
	if err := print(w, e); err != nil {
		return err
	}
	told, err := known.Apply(e.Name, e.Data)
	if err != nil {
		return nil // it has been printed as it is
	}
	for _, one := range told[1:] {
		data, err := json.Marshal(one.Data)
		if err != nil {
			return err
		}
		if err := print(w, event{At: e.At, Name: one.Name, Data: data}); err != nil {
			return err
		}
	}
	return nil
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
