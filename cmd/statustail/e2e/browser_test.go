package e2e

import (
	"fmt"

	"statustail/cmd/statustail/programtest/chromium"
)

// The first widget of the page, and what it says.
const (
	widgetElement = `document.querySelector("status-widget")`
	widgetText    = widgetElement + `?.shadowRoot.textContent`
)

// awaitWidget waits until the widget knows of a state and shows the texts.
// Nobody reloads the page meanwhile.
func awaitWidget(p *chromium.Tab, state string, texts ...string) {
	p.T.Helper()
	p.Within(patience, fmt.Sprintf(`%s?.snapshot?.state === %q`, widgetElement, state))
	for _, text := range texts {
		chromium.Eval[any](p, widgetElement+`.setAttribute("open", ""), null`)
		p.Within(patience, fmt.Sprintf(`%s.includes(%q)`, widgetText, text))
	}
}

// awaitConnection waits until the widget says that it is connected, or that
// it is not.
func awaitConnection(p *chromium.Tab, live bool) {
	p.T.Helper()
	words := `/reconnect/i.test(` + widgetText + `)`
	if live {
		words = "!" + words
	}
	p.Within(patience, words)
}
