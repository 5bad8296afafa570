package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"statustail/stream/live"
	"statustail/stream/schema"
	"statustail/stream/status"
)

// errPrivate says that a page is not for everybody. There are no tokens yet
// that would open one.
var errPrivate = errors.New("private")

// find gives the live page that a request is for: by slug, or by host. An
// error has not been answered yet; see deny.
func (a *api) find(c *gin.Context) (*live.Page, error) {
	ctx := c.Request.Context()
	id := c.Param("page")
	if id != "" && !schema.IsSlug(id) {
		return nil, fmt.Errorf("page %.80q: %w", id, live.ErrNotFound)
	}
	switch name := host(c.Request); {
	case id == "":
		var err error
		if id, err = a.Pages.Host(ctx, name); err != nil {
			return nil, err
		}
	case !isLocal(name) && a.isOthers(ctx, name, id):
		return nil, fmt.Errorf("page %s on the host of another: %w", id, live.ErrNotFound)
	}
	pg, err := a.Pages.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	if pg.Head().Private {
		return nil, fmt.Errorf("page %s: %w", id, errPrivate)
	}
	return pg, nil
}

// ownerWithin is how long it may take to learn whose a host is. Longer, as
// while the database is away, pages are found by slug on any host.
const ownerWithin = 200 * time.Millisecond

// isOthers reports whether a host is that of another page: it shows that page,
// and no other.
func (a *api) isOthers(ctx context.Context, host, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, ownerWithin)
	defer cancel()
	owner, err := a.Pages.Host(ctx, host)
	return err == nil && owner != id
}

// deny answers a request whose page find did not give. A browser's own
// EventSource never comes back after any of these statuses, so streams park
// what is only unavailable.
func (a *api) deny(c *gin.Context, err error) {
	a.Observe(live.Activity{Kind: "refused", Page: c.Param("page"), Detail: err.Error()})
	code, text := denial(err)
	if code == http.StatusServiceUnavailable {
		c.Header("Retry-After", "10")
	}
	refuse(c, code, text)
}

// denial is the status and the words for an error of find.
func denial(err error) (code int, text string) {
	switch {
	case errors.Is(err, errPrivate):
		return http.StatusUnauthorized, "this page is private"
	case errors.Is(err, live.ErrNotFound):
		return http.StatusNotFound, "there is no such page, component or issue"
	}
	return http.StatusServiceUnavailable, "the page cannot be read at the moment"
}

// host is the request's host in lower case, without a port.
func host(r *http.Request) string {
	h := r.Host
	if name, _, err := net.SplitHostPort(h); err == nil {
		h = name
	}
	return strings.TrimSuffix(strings.ToLower(h), ".")
}

// allow lets the page's origins read the answer (CORS). Nothing here depends
// on credentials, but an EventSource that was made with them would take no
// answer that does not allow them: origins that the page names may have them.
func allow(c *gin.Context, page *status.Page) {
	h := c.Writer.Header()
	// Caches must keep the answers to different origins apart, also where
	// any is allowed today.
	h.Add("Vary", "Origin")
	origin := c.GetHeader("Origin")
	switch {
	case origin != "" && slices.Contains(page.Origins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	case slices.Contains(page.Origins, "*"):
		h.Set("Access-Control-Allow-Origin", "*")
	}
}

// preflight answers the question that a browser asks before a request with
// headers of its own: those of clients that fetch a stream, and resume it.
func (a *api) preflight(c *gin.Context) {
	pg, err := a.find(c)
	if err != nil {
		a.deny(c, err)
		return
	}
	allow(c, pg.Head())
	c.Header("Access-Control-Allow-Methods", "GET, HEAD")
	c.Header("Access-Control-Allow-Headers", "Authorization, Cache-Control, If-None-Match, Last-Event-ID")
	c.Header("Access-Control-Max-Age", "86400")
	c.Status(http.StatusNoContent)
}
