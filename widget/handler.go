package widget

import (
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

// Routes are the patterns, in gin's syntax, of everything that Handler
// answers, to GET and HEAD.
func Routes() []string {
	return []string{"/widget.js", "/-/widget/*file", "/-/demo", "/-/demo/*file", "/-/embed"}
}

// Handler serves the script, its language files and builds, the demo pages,
// and the page that prints the tag. It keeps no state, and any number of
// requests may use it at once.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /widget.js", func(w http.ResponseWriter, r *http.Request) {
		current().serve(w, r, cacheShort)
	})
	mux.HandleFunc("GET /-/widget/{file}", serveBuild)
	mux.HandleFunc("GET /-/widget/lang/{file}", serveLanguage)
	mux.HandleFunc("GET /-/embed", serveEmbed)
	mux.HandleFunc("GET /-/demo", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/-/demo/", http.StatusMovedPermanently)
	})
	mux.HandleFunc("GET /-/demo/{file...}", serveDemo)
	return mux
}

// builds holds the current build and every released one, by path: a site that
// has pinned a build must not lose its widget when the server is updated.
var builds = sync.OnceValue(func() map[string]build { return readBuilds(dist) })

func readBuilds(dist fs.FS) map[string]build {
	all := map[string]build{}
	names, err := fs.Glob(dist, "dist/released/*.js")
	if err != nil {
		panic(err) // only for a malformed pattern
	}
	for _, name := range append(names, "dist/widget.js") {
		b := newBuild(mustRead(dist, name))
		all[b.path] = b
	}
	return all
}

func serveBuild(w http.ResponseWriter, r *http.Request) {
	b, ok := builds()[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	b.serve(w, r, cacheForever)
}

var languages = sync.OnceValue(func() map[string]file {
	all := map[string]file{}
	for _, code := range Languages() {
		name := code + ".json"
		all[name] = newFile("application/json", mustRead(dist, "dist/lang/"+name))
	}
	return all
})

func serveLanguage(w http.ResponseWriter, r *http.Request) {
	f, ok := languages()[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	f.serve(w, r, cacheShort)
}

// Languages are the codes of the languages that the widget speaks, English
// among them, in alphabetical order.
func Languages() []string {
	entries, err := dist.ReadDir("dist/lang")
	if err != nil {
		panic(err)
	}
	var codes []string
	for _, entry := range entries {
		codes = append(codes, strings.TrimSuffix(entry.Name(), path.Ext(entry.Name())))
	}
	return codes
}
