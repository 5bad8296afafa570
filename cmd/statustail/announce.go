package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"statustail/widget"
)

// announce says in a few plain lines what is running where, and, with the
// embedded database, what to try next.
func (s *server) announce() {
	say := func(format string, args ...any) { fmt.Fprintf(s.stdout, format+"\n", args...) }
	base := ""
	for _, l := range s.public {
		if l.Addr().Network() == "unix" {
			say("listening      unix:%s", l.Addr())
			continue
		}
		if base == "" {
			base = browserURL(l.Addr())
		}
		say("listening      %s", browserURL(l.Addr()))
	}
	for _, l := range s.ops {
		say("operators      %s  (/readyz /metrics /tail)", browserURL(l.Addr()))
	}
	for _, l := range s.pprof {
		say("profiles       %s/debug/pprof/", browserURL(l.Addr()))
	}
	if s.db == nil {
		say("database       %s at --mongodb-uri", s.cfg.Database)
		return
	}
	say("database       embedded, in %s, for any MongoDB client at %s", s.cfg.Data, s.db.URI())
	if base == "" {
		return
	}
	say("")
	say("Open           %s/demo", base)
	say("Embed it       %s", widget.Tag(base, "demo"))
	say("Change it      %s issue open --page demo --title \"Heavy load\" --component API --state degraded%s", invocation(), s.cliURI())
}

// cliURI is what the other commands need to find this database.
func (s *server) cliURI() string {
	if s.cfg.EmbeddedListen == defaultEmbeddedListen {
		return ""
	}
	return " --mongodb-uri " + s.db.URI()
}

// browserURL is how a browser on this machine reaches an address.
func browserURL(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// invocation is how this program was started, as far as that can be told:
// `go run` leaves the program in a folder that is soon gone.
func invocation() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/statustail"
	}
	return "statustail"
}
