package widget

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"path"
	"strings"
	"sync"

	"statustail/stream/schema"
)

// demo holds the pages that show the widget at work: layout.html is around
// each, and each defines "title", "about" (one sentence) and "body".
//
//go:embed demo
var demo embed.FS

// Policies of our own pages. Nothing on them comes from anywhere else.
const (
	policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
		"img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
	// The least that the widget needs: it works on a site as strict as this.
	strictPolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'; base-uri 'none'; frame-ancestors 'self'"
)

// Demos are the names of the demo pages, in the order in which they are best
// looked at: each is served as /-/demo/{name}.
func Demos() []string {
	return []string{"corner", "inline", "many", "dark", "styling", "languages", "rtl", "narrow", "events", "offline", "strict", "hostile"}
}

// A demoPage is what a demo page is made with.
type demoPage struct {
	Name      string
	Page      string // slug of the status page to show
	Demos     []string
	Languages []string
	// Of the page that prints the tag.
	Host           string
	Tag, PinnedTag string
	Integrity      string
}

// pageParameter is the slug that the query asks for, or "demo", which a
// server that starts with an empty database has made.
func pageParameter(r *http.Request) string {
	if page := r.URL.Query().Get("page"); schema.IsSlug(page) {
		return page
	}
	return "demo"
}

var templates = sync.OnceValue(func() map[string]*template.Template {
	layout := template.Must(template.ParseFS(demo, "demo/layout.html"))
	all := map[string]*template.Template{}
	for _, name := range append(Demos(), "index", "embed") {
		clone := template.Must(layout.Clone())
		all[name] = template.Must(clone.ParseFS(demo, "demo/"+name+".html"))
	}
	return all
})

func serveDemo(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	switch ext := path.Ext(name); ext {
	case ".css", ".js":
		b, err := demo.ReadFile("demo/" + name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		contentType := "text/css; charset=utf-8"
		if ext == ".js" {
			contentType = "text/javascript; charset=utf-8"
		}
		newFile(contentType, b).serveHere(w, r, cacheShort)
		return
	}
	if name == "" {
		name = "index"
	}
	if name == "embed" || templates()[name] == nil {
		http.NotFound(w, r)
		return
	}
	render(w, r, name, demoPage{})
}

// serveEmbed prints the tag to paste for a page.
func serveEmbed(w http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	host := scheme + "://" + r.Host
	page := pageParameter(r)
	render(w, r, "embed", demoPage{
		Host:      host,
		Tag:       Tag(host, page),
		PinnedTag: PinnedTag(host, page),
		Integrity: Integrity(),
	})
}

func render(w http.ResponseWriter, r *http.Request, name string, data demoPage) {
	data.Name, data.Page, data.Demos, data.Languages = name, pageParameter(r), Demos(), Languages()
	var b bytes.Buffer
	if err := templates()[name].ExecuteTemplate(&b, "layout.html", data); err != nil {
		http.Error(w, "cannot make this page", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	if name == "strict" {
		h.Set("Content-Security-Policy", strictPolicy)
	}
	h.Set("Referrer-Policy", "no-referrer")
	plainFile("text/html; charset=utf-8", b.Bytes()).serveHere(w, r, cacheNever)
}
