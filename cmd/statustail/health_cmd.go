package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// healthWithin bounds the question and the answer; what asks (a container
// engine, a service manager) has a limit of its own, above it.
const healthWithin = 2 * time.Second

// healthCmd asks a server on this machine how it is. It is for where there is
// no other HTTP client: the health check of the container image.
type healthCmd struct {
	OpsListen string `default:"127.0.0.1:9090" placeholder:"ADDR" help:"The server's --ops-listen."`
	Alive     bool   `help:"Ask only whether it runs, not whether it is ready."`
}

func (c *healthCmd) Run(a *app) error {
	if err := checkListen("--ops-listen", c.OpsListen, true); err != nil {
		return err
	}
	path := "/readyz"
	if c.Alive {
		path = "/healthz"
	}
	ctx, cancel := context.WithTimeout(a.ctx, healthWithin)
	defer cancel()
	code, body, err := askOps(ctx, c.OpsListen, path)
	if err != nil {
		return fmt.Errorf("ask %s at %s: %w", path, c.OpsListen, err)
	}
	if code != http.StatusOK {
		return fmt.Errorf("%s at %s answers %d: %s", path, c.OpsListen, code, body)
	}
	fmt.Fprintln(a.stdout, body)
	return nil
}

// askOps gets a path from the operators' listener at an address in the form
// of --ops-listen.
func askOps(ctx context.Context, address, path string) (code int, body string, err error) {
	network, target := dialable(address)
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, target)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	return res.StatusCode, strings.TrimSpace(string(b)), err
}

// dialable turns an address to listen on into one to connect to: a host that
// means every interface is reached over loopback.
func dialable(address string) (network, target string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "tcp", address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "tcp", net.JoinHostPort(host, port)
}
