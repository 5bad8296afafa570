// Package markdown turns the prose that people write about incidents into
// HTML that is safe to put into anybody's page, and into plain text.
//
// It is pure. It must never know where a body comes from or where it goes:
// every body is treated as written by an attacker.
package markdown

import (
	"bytes"
	"html"
	"strings"
	"unicode/utf8"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"

	"statustail/stream/schema"
)

// HTML is a body that is safe to put into anybody's page as it is. Only this
// package makes one, so nothing that has not been through Render can be taken
// for it. The zero HTML is empty, and == compares.
type HTML struct{ safe string }

// String is the HTML as text.
func (h HTML) String() string { return h.safe }

// Both are safe for concurrent use. goldmark leaves raw HTML out unless it is
// told otherwise, so two independent layers stand between a body and a page.
var (
	parser = goldmark.New(goldmark.WithExtensions(
		extension.Linkify, extension.Strikethrough, extension.Table))
	policy = newPolicy()
)

// newPolicy allows what prose needs. There are no images: a page that embeds
// a status widget would load them from strangers.
func newPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "strong", "em", "del", "code", "pre", "blockquote",
		"ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6",
		"table", "thead", "tbody", "tr", "th", "td")
	p.AllowAttrs("start").Matching(bluemonday.Integer).OnElements("ol")
	p.AllowAttrs("href").OnElements("a")
	p.RequireParseableURLs(true)
	// A relative link would mean something else on every page that embeds us.
	p.AllowRelativeURLs(false)
	p.AllowURLSchemes("http", "https", "mailto")
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	// Also sets rel="noopener".
	p.AddTargetBlankToFullyQualifiedLinks(true)
	return p
}

// Render gives a body in both its forms. It accepts any input: what is not
// valid UTF-8 is replaced, what is too long is cut, and what a body may not
// contain is left out. Both forms are trimmed; an empty body gives two empty
// strings.
//
// No more than schema.MaxBody bytes are rendered; the rest is cut off, and an
// ellipsis says so. The parser takes half a second for hostile input of that
// length.
func Render(md string) (safe HTML, plain string) {
	md = clean(md)
	if strings.TrimSpace(md) == "" {
		return HTML{}, ""
	}
	// A body must never take the server down, whatever it makes a parser do.
	defer func() {
		if recover() != nil {
			safe, plain = HTML{"<p>" + html.EscapeString(md) + "</p>"}, md
		}
	}()
	src := []byte(md)
	doc := parser.Parser().Parse(text.NewReader(src))
	var out bytes.Buffer
	if err := parser.Renderer().Render(&out, src, doc); err != nil {
		panic(err) // a bytes.Buffer does not fail
	}
	return HTML{strings.TrimSpace(string(policy.SanitizeBytes(out.Bytes())))}, plainText(doc, src)
}

// clean bounds the input and removes what has no place in text: invalid
// UTF-8, and control characters other than tab and line feed.
func clean(md string) string {
	if len(md) > schema.MaxBody {
		n := schema.MaxBody
		for n > 0 && !utf8.RuneStart(md[n]) {
			n--
		}
		md = md[:n] + "…"
	}
	md = strings.ReplaceAll(strings.ToValidUTF8(md, "\uFFFD"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r < ' ' && r != '\n' && r != '\t', r == 0x7f:
			return -1
		}
		return r
	}, md)
}
