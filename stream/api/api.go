// Package api is HTTP in front of the live pages: the streams, their state as
// JSON, small HTML pages, and, on a listener of its own, what operators need.
//
// It is thin: a handler finds its page, checks who may have it, and passes
// on. It must never know how pages are stored, followed or compared, nor how
// an event reaches a socket.
package api

import (
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"statustail/stream/fanout"
	"statustail/stream/live"
)

// Config is what New needs.
type Config struct {
	Pages *live.Pages
	Hub   *fanout.Hub // opens the pages' channels
	// Widget serves WidgetRoutes (gin patterns, to GET and HEAD), and Tag is
	// what embeds it for a page of the server at an address.
	Widget       http.Handler
	WidgetRoutes []string
	Tag          func(host, page string) string
	// TrustedProxies may name the client in X-Forwarded-For, beside loopback
	// and Unix sockets, which always may.
	TrustedProxies []netip.Prefix
	Logger         *slog.Logger          // nil: discard
	Registerer     prometheus.Registerer // nil: no metrics
	// Observe, unless nil, is told of refusals, for the operators' log.
	Observe func(live.Activity)
}

// streamPath is what the paths of all streams have in them.
const streamPath = "/live/v2/"

type api struct {
	Config
}

// New gives the public handler. Pages are found under their slug, and without
// it on the hosts that they list; everything of the server's own lies under
// /-/, which is no slug.
func New(cfg Config) http.Handler {
	a := &api{Config: cfg}
	if a.Logger == nil {
		a.Logger = slog.New(slog.DiscardHandler)
	}
	if a.Observe == nil {
		a.Observe = func(live.Activity) {}
	}
	gin.SetMode(gin.ReleaseMode) // it prints its routes otherwise
	r := gin.New()
	r.UseRawPath = true // ids may hold any character, a slash included
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false
	r.Use(measured(a.Registerer), a.recoverPanics)
	r.NoRoute(func(c *gin.Context) { refuse(c, http.StatusNotFound, "there is nothing at this path") })
	r.NoMethod(func(c *gin.Context) {
		refuse(c, http.StatusMethodNotAllowed, "only GET, HEAD and OPTIONS are served here")
	})

	for _, base := range []string{"", "/:page"} {
		for _, path := range []string{streamPath + "status_page", streamPath + "component/:component"} {
			r.GET(base+path, a.stream)
			r.OPTIONS(base+path, a.preflight)
		}
		r.OPTIONS(base+"/state.json", a.preflight)
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r.Handle(method, base+"/state.json", a.state)
			r.Handle(method, base+"/issues/:issue", a.issue)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		r.Handle(method, "/", a.page)
		r.Handle(method, "/:page", a.page)
		r.Handle(method, stylePath, asset("text/css", pageCSS))
		r.Handle(method, scriptPath, asset("text/javascript", pageJS))
		for _, route := range a.WidgetRoutes {
			r.Handle(method, route, gin.WrapH(a.Widget))
		}
	}
	return r
}

// recoverPanics keeps one request's bug from being everybody's.
func (a *api) recoverPanics(c *gin.Context) {
	defer func() {
		if err := recover(); err != nil {
			if err == http.ErrAbortHandler {
				panic(err)
			}
			a.Logger.Error("a request handler panicked", "path", c.Request.URL.Path, "panic", err)
			if !c.Writer.Written() {
				refuse(c, http.StatusInternalServerError, "internal error")
			}
		}
	}()
	c.Next()
}

// refuse answers with an error as JSON, readable from anywhere: it says
// nothing that the status does not.
func refuse(c *gin.Context, code int, text string) {
	c.Header("Access-Control-Allow-Origin", "*")
	c.Header("Cache-Control", "no-store")
	c.Header("X-Content-Type-Options", "nosniff")
	c.AbortWithStatusJSON(code, gin.H{"error": text})
}
