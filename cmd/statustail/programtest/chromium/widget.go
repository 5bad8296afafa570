package chromium

import "fmt"

// Expressions for what a widget shows; the first widget of the page.
const (
	Root = `document.querySelector("status-widget").shadowRoot`
	Pill = Root + `.querySelector(".pill")`

	// PanelText is the text of the panel.
	PanelText = Root + `.querySelector(".panel").textContent`
	// PanelIsWhole says that the panel is open, and that all of it is within the window.
	PanelIsWhole = `(r => r.width > 0 && r.left >= 0 && r.top >= 0 && r.right <= innerWidth && r.bottom <= innerHeight)(` +
		Root + `.querySelector(".panel").getBoundingClientRect())`
)

// Says waits for the pill to say something.
func (p *Tab) Says(words string) {
	p.T.Helper()
	p.Until(fmt.Sprintf(`document.querySelector("status-widget")?.shadowRoot.querySelector(".words")?.textContent === %q`, words))
}

// Panel waits for the panel to contain some text.
func (p *Tab) Panel(text string) {
	p.T.Helper()
	p.Until(fmt.Sprintf(`%s.includes(%q)`, PanelText, text))
}

// Gone waits for the panel not to contain it any more.
func (p *Tab) Gone(text string) {
	p.T.Helper()
	p.Until(fmt.Sprintf(`!%s.includes(%q)`, PanelText, text))
}
