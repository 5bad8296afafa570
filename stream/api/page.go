package api

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"statustail/stream/live"
	"statustail/stream/status"
)

//go:embed page.html
var pageHTML embed.FS

//go:embed page.css
var pageCSS []byte

//go:embed page.js
var pageJS []byte

const (
	stylePath  = "/-/page.css"
	scriptPath = "/-/page.js"
)

// pageCSP lets the page load the widget and its stream, and nothing else.
const pageCSP = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' https: data:; base-uri 'none'; form-action 'none'"

var pageTemplate = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"words": words, "iso": iso, "trusted": trusted, "args": issueArgs,
}).ParseFS(pageHTML, "page.html"))

// pageData is what the template shows.
type pageData struct {
	View   status.View
	Base   string // what links to issues begin with
	Issue  *status.IssueView
	Stale  time.Time
	Uptime string // empty where nothing is known
	Tag    template.HTML
	Style  string
	Script string
	Locale string
	zone   *time.Location
}

// issueArgs is what the template of one issue gets.
func issueArgs(d pageData, is any) (map[string]any, error) {
	switch iv := is.(type) {
	case *status.IssueView:
		return map[string]any{"Page": d, "Issue": iv}, nil
	case status.IssueView:
		return map[string]any{"Page": d, "Issue": &iv}, nil
	}
	return nil, fmt.Errorf("an issue is wanted, got %T", is)
}

// Stamp is a time in the page's zone.
func (d pageData) Stamp(t time.Time) string {
	return t.In(d.zone).Format("2 January 2006, 15:04 MST")
}

// page serves the status page as HTML, with the widget on it.
func (a *api) page(c *gin.Context) {
	a.html(c, func(pageData) (*status.IssueView, error) { return nil, nil })
}

// issue serves one issue as HTML; every title in a widget links here.
func (a *api) issue(c *gin.Context) {
	a.html(c, func(d pageData) (*status.IssueView, error) {
		id := c.Param("issue")
		if iv, ok := d.View.Issue(id); ok {
			return &iv, nil
		}
		is, err := a.Pages.Issue(c.Request.Context(), d.View.Page.ID, id)
		if err != nil {
			return nil, err
		}
		// The page's own rules, applied to an issue that is too old to be
		// in memory.
		old := *d.View.Page
		old.Issues = []status.Issue{is}
		iv, _ := old.At(time.Now()).Issue(is.ID)
		return &iv, nil
	})
}

func (a *api) html(c *gin.Context, issue func(pageData) (*status.IssueView, error)) {
	pg, err := a.find(c)
	if err != nil {
		a.denyPage(c, err)
		return
	}
	now := time.Now()
	v, m := pg.View(now)
	d := pageData{
		View: v, Stale: m.StaleSince, Style: stylePath, Script: scriptPath, Locale: v.Page.Locale, zone: time.UTC,
		Tag: template.HTML(a.Tag(origin(c.Request), v.Page.ID)),
	}
	if v.State != status.Pending {
		d.Uptime = status.FormatPercent(v.PercentUptime(now))
	}
	if c.Param("page") != "" {
		d.Base = "/" + v.Page.ID
	}
	if zone, err := time.LoadLocation(v.Page.TimeZone); err == nil {
		d.zone = zone
	}
	if d.Locale == "" {
		d.Locale = "en"
	}
	if d.Issue, err = issue(d); err != nil {
		a.denyPage(c, err)
		return
	}
	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, d); err != nil {
		a.Logger.Error("rendering a page failed", "page", v.Page.ID, "error", err)
		a.deny(c, errors.New("rendering failed"))
		return
	}
	c.Header("Cache-Control", "no-cache")
	c.Header("Content-Security-Policy", pageCSP)
	c.Header("X-Content-Type-Options", "nosniff")
	c.Header("Referrer-Policy", "strict-origin-when-cross-origin")
	c.Data(http.StatusOK, "text/html; charset=utf-8", body.Bytes())
}

// denyPage is deny for somebody who came with a browser.
func (a *api) denyPage(c *gin.Context, err error) {
	if !strings.Contains(c.GetHeader("Accept"), "text/html") {
		a.deny(c, err)
		return
	}
	a.Observe(live.Activity{Kind: "refused", Page: c.Param("page"), Detail: err.Error()})
	code, text := denial(err)
	var body bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&body, "denied", map[string]string{"Text": text, "Style": stylePath}); err != nil {
		a.Logger.Error("rendering an error failed", "error", err)
	}
	c.Header("Cache-Control", "no-store")
	c.Header("Content-Security-Policy", pageCSP)
	c.Header("X-Content-Type-Options", "nosniff")
	c.Data(code, "text/html; charset=utf-8", body.Bytes())
}

// asset serves a file that belongs to the HTML pages.
func asset(contentType string, data []byte) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Header("Cache-Control", "public, max-age=300")
		c.Header("X-Content-Type-Options", "nosniff")
		c.Data(http.StatusOK, contentType+"; charset=utf-8", data)
	}
}

// origin is the address under which the client reached the server. Behind a
// proxy that ends TLS, the proxy says so.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

func words(c status.ComponentView) string {
	if c.Maintenance {
		return "maintenance"
	}
	return stateWords(c.State)
}

func stateWords(s status.State) string {
	if s == status.Pending {
		return "unknown"
	}
	return strings.ReplaceAll(s.String(), "_", " ")
}

// Shows is what the page shows, in brief, as page.js finds it in what the
// widget knows: by it, the page notices that it is no longer true.
func (d pageData) Shows() string {
	var lines []string
	line := func(facts ...any) {
		words := make([]string, len(facts))
		for i, f := range facts {
			words[i] = fmt.Sprint(f)
		}
		lines = append(lines, strings.Join(words, "\t"))
	}
	for _, c := range d.View.Components {
		state := c.State.String()
		if c.Maintenance {
			state = "maintenance"
		}
		line(c.ID, c.Name, state)
	}
	for _, iv := range d.View.Issues {
		progress := ""
		if iv.Progress != nil {
			progress = fmt.Sprint(*iv.Progress)
		}
		line(iv.ID, iv.Title, iv.Label, iv.Phase == status.Standing, progress, len(iv.Updates))
	}
	return strings.Join(lines, "\n")
}

// Headline says in one line how the page is.
func (d pageData) Headline() string {
	switch d.View.State {
	case status.Operational:
		return "All systems operational"
	case status.Degraded:
		return "Degraded performance"
	case status.PartialOutage:
		return "Partial outage"
	case status.Outage:
		return "Major outage"
	}
	return "Nothing is known yet"
}

func iso(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// trusted marks the HTML of a body, which was sanitised where it was made.
func trusted(t status.Text) template.HTML { return template.HTML(t.HTML.String()) }
