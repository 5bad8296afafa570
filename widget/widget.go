// Package widget is the embeddable widget: the script that a customer's site
// loads with one tag, what the script needs (language files, older builds),
// and the pages that show how to use it.
//
// It must never know what is in the database, how a stream is served, or who
// looks at a page: it hands out files. What the script does in a browser is
// in src; dist holds the bundle that go generate makes of it.
package widget

import (
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io/fs"
	"sync"
)

//go:generate go run ./build

// dist holds widget.js, the bundle, everything that a browser needs to show
// the widget in English; lang, one small file for each language; and released,
// the bundles of earlier versions.
//
//go:embed dist
var dist embed.FS

// Integrity is the value of the tag's integrity attribute that admits the
// current build and nothing else.
func Integrity() string { return current().integrity }

// Path is where the current build is served for ever: its name says what is
// in it.
func Path() string { return current().path }

// Tag is what a site puts into its HTML to show the status of a page: host is
// the address of the server (https://status.example.com), page the slug. The
// tag always loads the newest build; see PinnedTag for one that does not.
func Tag(host, page string) string {
	return fmt.Sprintf(`<script async src="%s/widget.js" data-page="%s"></script>`,
		html.EscapeString(host), html.EscapeString(page))
}

// PinnedTag is Tag for a site that wants to know what it runs: it admits the
// current build only.
func PinnedTag(host, page string) string {
	return fmt.Sprintf(`<script async src="%s%s" integrity="%s" crossorigin="anonymous" data-page="%s"></script>`,
		html.EscapeString(host), Path(), Integrity(), html.EscapeString(page))
}

// A build is one version of the script.
type build struct {
	file
	path      string
	integrity string
}

func newBuild(plain []byte) build {
	sum := sha512.Sum384(plain)
	return build{
		file:      newFile("text/javascript; charset=utf-8", plain),
		path:      "/-/widget/" + hex.EncodeToString(sum[:8]) + ".js",
		integrity: "sha384-" + base64.StdEncoding.EncodeToString(sum[:]),
	}
}

var current = sync.OnceValue(func() build { return newBuild(mustRead(dist, "dist/widget.js")) })

// mustRead reads what is part of the program.
func mustRead(fsys fs.FS, name string) []byte {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		panic(err)
	}
	return b
}
