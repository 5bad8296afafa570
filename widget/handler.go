package widget

import (
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
var builds = sync.OnceValue(func() map[string]build {
	all := map[string]build{Path(): current()}
	entries, err := dist.ReadDir("dist/released")
	if err != nil {
		return all // nothing has been released yet
	}
	for _, entry := range entries {
		b := newBuild(mustRead(dist, "dist/released/"+entry.Name()))
		all[b.path] = b
	}
	return all
})

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
	entries, err := dist.ReadDir("dist/lang")
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		all[entry.Name()] = newFile("application/json", mustRead(dist, "dist/lang/"+entry.Name()))
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
