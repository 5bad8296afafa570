package markdown

import (
	"html"
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/util"
)

// plainText is a parsed body as somebody would type it into a plain text
// mail: paragraphs apart by an empty line, list items with a dash or number,
// a link followed by its address where the words do not say it already.
func plainText(doc ast.Node, src []byte) string {
	w := plainWriter{src: src}
	_ = ast.Walk(doc, w.visit) // visit returns no errors
	lines := strings.Split(w.out.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

type plainWriter struct {
	src []byte
	out strings.Builder
	// gap is how many line feeds the next text owes to the blocks before it.
	gap int
}

func (w *plainWriter) visit(n ast.Node, entering bool) (ast.WalkStatus, error) {
	switch n := n.(type) {
	case *ast.Text:
		if entering {
			w.text(unescape(n.Segment.Value(w.src)))
			if n.SoftLineBreak() || n.HardLineBreak() {
				w.write("\n")
			}
		}
	case *ast.String:
		if entering {
			w.text(unescape(n.Value))
		}
	case *ast.AutoLink:
		if entering {
			w.text(string(n.Label(w.src)))
		}
	case *ast.CodeSpan:
		if entering {
			for c := n.FirstChild(); c != nil; c = c.NextSibling() {
				if t, ok := c.(*ast.Text); ok {
					w.text(string(t.Segment.Value(w.src)))
				}
			}
			return ast.WalkSkipChildren, nil
		}
	case *ast.Link:
		if !entering {
			w.link(n)
		}
	case *ast.CodeBlock, *ast.FencedCodeBlock:
		if entering {
			w.block(2)
			for i := range n.Lines().Len() {
				line := n.Lines().At(i)
				w.text(string(line.Value(w.src)))
			}
			return ast.WalkSkipChildren, nil
		}
		w.block(2)
	case *ast.HTMLBlock, *ast.RawHTML:
		return ast.WalkSkipChildren, nil
	case *ast.ThematicBreak:
		if entering {
			w.block(2)
			w.text("---")
			w.block(2)
		}
	case *ast.ListItem:
		w.block(1)
		if entering {
			w.text(bullet(n))
		}
	case *ast.TextBlock:
		// The words of an item stand beside its bullet.
		if !entering || n.PreviousSibling() != nil {
			w.block(1)
		}
	case *extast.TableRow, *extast.TableHeader:
		w.block(1)
	case *extast.TableCell:
		if entering && n.PreviousSibling() != nil {
			w.text(" | ")
		}
	default:
		if n.Type() != ast.TypeBlock || n.Kind() == ast.KindDocument {
			break
		}
		// So do those of a paragraph; what follows them inside the item
		// stands on the next line.
		_, inItem := n.Parent().(*ast.ListItem)
		switch {
		case inItem && entering && n.PreviousSibling() == nil:
		case inItem:
			w.block(1)
		default:
			w.block(2)
		}
	}
	return ast.WalkContinue, nil
}

// block asks for a break of n line feeds before whatever comes next.
func (w *plainWriter) block(n int) { w.gap = max(w.gap, n) }

func (w *plainWriter) text(s string) {
	if s == "" {
		return
	}
	if w.gap > 0 && w.out.Len() > 0 {
		w.write(strings.Repeat("\n", w.gap))
	}
	w.gap = 0
	w.write(s)
}

func (w *plainWriter) write(s string) { w.out.WriteString(s) }

// link adds the address, when it is one that the HTML links to as well.
func (w *plainWriter) link(n *ast.Link) {
	address := string(n.Destination)
	scheme, _, ok := strings.Cut(address, ":")
	if !ok {
		return
	}
	switch strings.ToLower(scheme) {
	case "http", "https", "mailto":
	default:
		return
	}
	if !strings.HasSuffix(w.out.String(), strings.TrimPrefix(address, "mailto:")) {
		w.text(" (" + address + ")")
	}
}

func bullet(item *ast.ListItem) string {
	list, ok := item.Parent().(*ast.List)
	if !ok || !list.IsOrdered() {
		return "- "
	}
	n := list.Start
	for s := item.PreviousSibling(); s != nil; s = s.PreviousSibling() {
		n++
	}
	return strconv.Itoa(n) + ". "
}

// unescape resolves what Markdown escapes in running text: backslashes and
// character references.
func unescape(b []byte) string {
	return html.UnescapeString(string(util.UnescapePunctuations(b)))
}
