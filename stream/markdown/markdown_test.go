package markdown

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"

	"statustail/stream/schema"
)

func TestRender(t *testing.T) {
	for name, c := range map[string]struct{ md, html, plain string }{
		"empty":      {" \n\t", "", ""},
		"paragraphs": {"We are *looking*.\n\nSoon **more**.", "<p>We are <em>looking</em>.</p>\n<p>Soon <strong>more</strong>.</p>", "We are looking.\n\nSoon more."},
		"soft break": {"one\ntwo", "<p>one\ntwo</p>", "one\ntwo"},
		"link": {"See [the docs](https://example.com/a?b=1&c=2).",
			`<p>See <a href="https://example.com/a?b=1&amp;c=2" rel="nofollow noreferrer noopener" target="_blank">the docs</a>.</p>`,
			"See the docs (https://example.com/a?b=1&c=2)."},
		"bare link": {"https://example.com/x",
			`<p><a href="https://example.com/x" rel="nofollow noreferrer noopener" target="_blank">https://example.com/x</a></p>`,
			"https://example.com/x"},
		"link that says itself": {"[https://example.com](https://example.com)",
			`<p><a href="https://example.com" rel="nofollow noreferrer noopener" target="_blank">https://example.com</a></p>`,
			"https://example.com"},
		"relative link": {"[x](/admin)", "<p>x</p>", "x"},
		"javascript":    {"[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1))", "<p>x y</p>", "x y"},
		"data url":      {"[x](data:text/html;base64,AAAA)", "<p>x</p>", "x"},
		"script":        {"a\n\n<script>alert(1)</script>\n\nb", "<p>a</p>\n\n<p>b</p>", "a\n\nb"},
		"handler":       {`a <b onclick="x()">bold</b>`, "<p>a bold</p>", "a bold"},
		"iframe":        {`<iframe src="https://evil.example"></iframe>`, "", ""},
		"style":         {`x <span style="position:fixed">y</span><style>*{}</style>`, "<p>x y*{}</p>", "x y*{}"},
		"image":         {"![a cat](https://example.com/cat.png)", "<p></p>", "a cat"},
		"list":          {"- one\n- two\n  - three\n\nend", "<ul>\n<li>one</li>\n<li>two\n<ul>\n<li>three</li>\n</ul>\n</li>\n</ul>\n<p>end</p>", "- one\n- two\n- three\n\nend"},
		"ordered":       {"3. one\n4. two", "<ol start=\"3\">\n<li>one</li>\n<li>two</li>\n</ol>", "3. one\n4. two"},
		"loose list":    {"- one\n\n- two", "<ul>\n<li>\n<p>one</p>\n</li>\n<li>\n<p>two</p>\n</li>\n</ul>", "- one\n- two"},
		"code":          {"run `a < b`:\n\n```sh\nls <x>\n```", "<p>run <code>a &lt; b</code>:</p>\n<pre><code>ls &lt;x&gt;\n</code></pre>", "run a < b:\n\nls <x>"},
		"escapes":       {`5 \* 3 &amp; more &lt;b&gt;`, "<p>5 * 3 &amp; more &lt;b&gt;</p>", "5 * 3 & more <b>"},
		"heading":       {"# Title\ntext", "<h1>Title</h1>\n<p>text</p>", "Title\n\ntext"},
		"quote":         {"> said", "<blockquote>\n<p>said</p>\n</blockquote>", "said"},
		"table":         {"|a|b|\n|-|-|\n|1|2|", "<table>\n<thead>\n<tr>\n<th>a</th>\n<th>b</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n<td>2</td>\n</tr>\n</tbody>\n</table>", "a | b\n1 | 2"},
		"controls":      {"a\x00b\x1b[31mc\r\nd", "<p>ab[31mc\nd</p>", "ab[31mc\nd"},
		"not UTF-8":     {"a\xffb", "<p>a\uFFFDb</p>", "a\uFFFDb"},
	} {
		t.Run(name, func(t *testing.T) {
			gotHTML, gotPlain := Render(c.md)
			if gotHTML.String() != c.html {
				t.Errorf("HTML\n got %q\nwant %q", gotHTML, c.html)
			}
			if gotPlain != c.plain {
				t.Errorf("plain\n got %q\nwant %q", gotPlain, c.plain)
			}
		})
	}
}

func TestRenderBoundsItsInput(t *testing.T) {
	safe, plain := Render(strings.Repeat("é", schema.MaxBody))
	if n := len(plain); n > schema.MaxBody+len("…") {
		t.Errorf("plain text has %d bytes", n)
	}
	if !strings.HasSuffix(plain, "…") || !utf8.ValidString(plain) || !utf8.ValidString(safe.String()) {
		t.Errorf("cut badly: %q", plain[len(plain)-8:])
	}
}

// Inputs that are known to make Markdown parsers take quadratic time or to
// nest without end. What keeps them bearable is schema.MaxBody.
var nested = []string{">", "[", "![", "*a_ ", "`", "<", "- ", "[a](", "&", "|a", "\\", "~~a", "http://a "}

func TestRenderNested(t *testing.T) {
	for _, unit := range nested {
		safe, _ := Render(strings.Repeat(unit, schema.MaxBody/4/len(unit)))
		if err := harmless(safe.String()); err != "" {
			t.Errorf("%q repeated: %s", unit, err)
		}
	}
}

func BenchmarkRenderNested(b *testing.B) {
	for _, unit := range nested {
		md := strings.Repeat(unit, schema.MaxBody/len(unit))
		b.Run(unit, func(b *testing.B) {
			for b.Loop() {
				Render(md)
			}
		})
	}
}

func FuzzRender(f *testing.F) {
	for _, s := range []string{
		"# a\n\n[x](javascript:alert(1))", `<a href="x" onclick=y>`, "<svg/onload=alert(1)>",
		`[a](<java&#x73;cript:alert(1)>)`, "![x](data:image/svg+xml,<svg>)", "<!-- --!> <script>",
		"<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
		"[x]: javascript:1\n[x]", "<http://a'b\"c>", "a|b\n-|-\n<script>|x", "<javascript:alert(1)>",
		"[a](https://example.com\" onmouseover=\"x)", "1. a\n   > b\n\n```\nx",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, md string) {
		safe, plain := Render(md)
		if err := harmless(safe.String()); err != "" {
			t.Fatalf("%s\nin  %q\nout %q", err, md, safe)
		}
		if !utf8.ValidString(plain) || strings.ContainsAny(plain, "\x00\x1b\r") {
			t.Fatalf("plain text is not text: %q", plain)
		}
		if again := strings.TrimSpace(policy.Sanitize(safe.String())); again != safe.String() {
			t.Fatalf("sanitising is not stable\n one %q\n two %q", safe, again)
		}
	})
}

// harmless reads HTML as a browser does and says what in it is not allowed,
// by a list of its own.
func harmless(s string) string {
	allowed := map[string]bool{}
	for tag := range strings.FieldsSeq("p br hr strong em del code pre blockquote ul ol li h1 h2 h3 h4 h5 h6 table thead tbody tr th td a") {
		allowed[tag] = true
	}
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return ""
		case html.CommentToken, html.DoctypeToken:
			return "comment or doctype"
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			if !allowed[tok.Data] {
				return "element " + tok.Data
			}
			for _, a := range tok.Attr {
				switch tok.Data + " " + a.Key {
				case "ol start", "a rel", "a target":
				case "a href":
					u, err := url.Parse(a.Val)
					if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "mailto" {
						return "link to " + a.Val
					}
				default:
					return "attribute " + tok.Data + " " + a.Key
				}
			}
		}
	}
}
