package browsertest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"statustail/widget"
)

// axe-core 4.10.3 by Deque Systems, under the Mozilla Public License 2.0 that
// lies beside it.
//
//go:embed testdata/axe.min.js
var axe string

// accessible fails for everything that axe finds on a page.
func (p *tab) accessible(what string) {
	p.t.Helper()
	eval[any](p, axe+"; null")
	found := eval[string](p, `axe.run().then(r => JSON.stringify(r.violations.map(v => ({
		rule: v.id, help: v.help, nodes: v.nodes.map(n => [n.target.join(" "), n.failureSummary]) }))))`)
	var violations []struct {
		Rule, Help string
		Nodes      [][]string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		p.t.Fatal(err)
	}
	for _, v := range violations {
		p.t.Errorf("%s: %s: %s %q", what, v.Rule, v.Help, v.Nodes)
	}
}

// media plays a visitor's settings.
func (p *tab) media(features ...string) {
	p.t.Helper()
	params := emulation.SetEmulatedMediaParams{}
	for i := 0; i < len(features); i += 2 {
		params.Features = append(params.Features, &emulation.MediaFeature{Name: features[i], Value: features[i+1]})
	}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, params); err != nil {
		p.t.Fatal(err)
	}
}

// Every demo page is looked at: when all is well and when it is not, closed
// and open, light and dark. The screenshots are for human eyes.
func TestDemos(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	pages := append([]string{"", "../embed"}, widget.Demos()...)
	for _, name := range pages {
		t.Run(strings.Trim(name, "./"), func(t *testing.T) {
			t.Parallel()
			p := newProfile(t)
			p.media("prefers-color-scheme", "light")
			for _, state := range []struct {
				name string
				is   object
			}{{"calm", calm()}, {"troubled", troubled()}} {
				s := s
				if name != "" {
					s = newServer(t)
				}
				s.becomes(state.is)
				if name == "narrow" {
					p.do(chromedp.EmulateViewport(320, 640))
				}
				p.open(s.URL + "/-/demo/" + name)
				p.until(`document.querySelector("h1")`)
				if name == "" {
					p.accessible(state.name)
					p.shoot(state.name)
					continue
				}
				all := `[...document.querySelectorAll("status-widget")]`
				p.until(all + `.length > 0 && ` + all + `.every(w => w.shadowRoot?.querySelector(".words")?.textContent)`)
				// The rudest page makes a mess of itself, not of the widget.
				if name != "hostile" {
					p.accessible(state.name)
				}
				p.shoot(state.name)
				last := all + `.filter(w => !w.hasAttribute("hide-when")).at(-1)`
				eval[any](p, last+`.setAttribute("open", ""), null`)
				p.until(strings.ReplaceAll(panelIsWhole, `document.querySelector("status-widget")`, last))
				p.until(`document.documentElement.scrollWidth <= innerWidth`)
				if name != "hostile" {
					p.accessible(state.name + ", open")
				}
				p.shoot(state.name + "-open")
				if name == "hostile" {
					continue
				}
				p.media("prefers-color-scheme", "dark")
				p.accessible(state.name + ", dark")
				p.shoot(state.name + "-dark")
				p.media("prefers-color-scheme", "light")
			}
		})
	}
}

// Everything can be done with the keyboard, and focus is never lost.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	p := newProfile(t)
	p.open(s.site("a", `<!doctype html><title>A</title><a href="#1" id="before">before</a>
		<status-widget page="demo"></status-widget><a href="#2" id="after">after</a><script async src="/widget.js"></script>`))
	p.says("Partial outage")
	focus := func(selector string) {
		t.Helper()
		p.until(root + `.activeElement?.matches(` + "`" + selector + "`" + `)`)
	}
	expanded := func(value string) {
		t.Helper()
		p.until(pill + `.getAttribute("aria-expanded") === "` + value + `" && !!` + root + `.querySelector(":popover-open") === ` + value)
	}
	press := func(key string) {
		t.Helper()
		p.do(chromedp.KeyEvent(key))
	}
	p.until(pill + `.localName === "button"`)
	expanded("false")
	eval[any](p, `document.querySelector("#before").focus(), null`)
	press(kb.Tab)
	focus(".pill")
	p.until(`getComputedStyle(` + pill + `).outlineStyle !== "none"`)
	press(kb.Enter)
	expanded("true")
	focus(".pill")
	for _, title := range []string{"Elevated", "Restoring", "Database"} {
		press(kb.Tab)
		p.until(root + `.activeElement.textContent.startsWith("` + title + `")`)
	}
	// News does not take the focus away, unless what had it is gone.
	s.send("issue_updated", object{"state": "outage", "update": object{
		"id": "u7", "issue_id": "i3", "label": "Soon", "body_text": "Get ready.", "created_at": 1700000000}})
	p.panel("Get ready.")
	p.until(root + `.activeElement.textContent === "Database upgrade"`)
	press(kb.Tab)
	focus(".link")
	press(kb.Tab)
	p.until(`document.activeElement.id === "after"`)
	eval[any](p, `[...`+root+`.querySelectorAll(".title")].at(-1).focus(), null`)
	s.send("issue_cancelled", object{"state": "outage", "issue": object{"id": "i3"}})
	p.gone("Database upgrade")
	focus(".pill")
	eval[any](p, root+`.querySelector(".link").focus(), null`)
	press(kb.Escape)
	expanded("false")
	focus(".pill")
	press(" ")
	expanded("true")
	p.do(chromedp.Click(chromedp.ID("before")))
	expanded("false")
	p.until(`document.activeElement.id === "before"`)
	// Escape is the page's own when there is nothing to close.
	eval[any](p, `onkeydown = e => key = e.key, null`)
	press(kb.Escape)
	p.until(`key === "Escape" && document.activeElement.id === "before"`)
}

// A reader is told when the state changes, once, and of nothing else.
func TestAnnouncements(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := newProfile(t)
	p.open(s.URL + "/-/demo/corner")
	p.says("All systems operational")
	eval[any](p, `said = [], new MutationObserver(() => said.push(`+root+`.querySelector("[role=status]").textContent))
		.observe(`+root+`.querySelector("[role=status]"), { childList: true, characterData: true, subtree: true }), null`)
	p.until(root + `.querySelectorAll("[role=status], [aria-live], [role=alert], [role=log]").length === 1`)
	s.send("ping_event", object{"state": "operational", "live": false, "stale_since": 1700056920})
	s.send("issue_created", object{"state": "operational", "issue": issue("i1", "Heavy load")})
	s.send("degraded", object{"state": "degraded"})
	p.says("Degraded performance")
	s.send("issue_resolved", object{"state": "degraded", "issue": object{"id": "i1"}})
	s.hangUp()
	p.says("All systems operational") // as init_event has it
	p.until(`said.join() === "Degraded performance,All systems operational"`)
}

// With forced colours the states keep their shapes and the text its contrast;
// with reduced motion nothing moves.
func TestVisitorSettings(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	p := newProfile(t)
	p.media("forced-colors", "active", "prefers-reduced-motion", "reduce", "prefers-color-scheme", "dark")
	p.open(s.site("a", `<!doctype html><title>A</title><html lang="en"><body><main><h1>Site</h1></main><script async src="/widget.js" data-page="demo" data-open></script>`))
	p.says("Partial outage")
	p.until(panelIsWhole)
	p.accessible("forced colours")
	p.shoot("forced-colours")
	shape := `getComputedStyle(` + pill + `.querySelector(".icon"))`
	p.until(shape + `.clipPath.startsWith("path") && ` + shape + `.backgroundColor !== getComputedStyle(` + pill + `).backgroundColor`)
	p.until(`[...` + root + `.querySelectorAll("*")].every(e => getComputedStyle(e).animationName === "none" && parseFloat(getComputedStyle(e).transitionDuration) === 0)`)

	// 1280 pixels at 200 % and at 400 %.
	p.media()
	for _, zoom := range []float64{2, 4} {
		p.do(chromedp.EmulateViewport(int64(1280/zoom), int64(1024/zoom), chromedp.EmulateScale(zoom)))
		p.until(panelIsWhole)
		p.until(`document.documentElement.scrollWidth <= innerWidth`)
		p.shoot(fmt.Sprint("zoom-", zoom))
	}
}

// The shapes of the states differ: nobody needs to see colours.
func TestShapes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	states := []string{"operational", "degraded", "partial_outage", "outage", "maintenance", "unknown"}
	var components []object
	for _, state := range states {
		components = append(components, component(state, state, state))
	}
	s.becomes(with(calm(), object{"components": components}))
	p := newProfile(t)
	p.open(s.site("a", `<!doctype html><title>A</title><script async src="/widget.js" data-page="demo" data-open data-components="`+strings.Join(states, ",")+`"></script>`))
	p.says("Outage")
	shapes := eval[[]string](p, `[...`+root+`.querySelectorAll(".component .icon")].map(e => getComputedStyle(e).clipPath)`)
	different := map[string]bool{}
	for _, shape := range shapes {
		different[shape] = true
	}
	if len(different) != len(states) {
		t.Errorf("%d states have %d shapes: %q", len(states), len(different), shapes)
	}
	p.shoot("all")
}

// Each language is spoken as it is written, in its own direction, and nothing
// is cut off.
func TestLanguages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	p := newProfile(t)
	p.do(chromedp.EmulateViewport(320, 640))
	seen := map[string]string{}
	for _, code := range widget.Languages() {
		p.open(s.site(code, `<!doctype html><meta name="viewport" content="width=device-width"><html lang="`+code+`"><title>A</title><script async src="/widget.js" data-page="demo" data-open></script>`))
		p.until(panelIsWhole)
		words := eval[string](p, root+`.querySelector(".words").textContent`)
		if other, ok := seen[words]; ok {
			t.Errorf("%s and %s both say %q", code, other, words)
		}
		seen[words] = code
		p.until(root + `.querySelector(".panel").scrollWidth <= ` + root + `.querySelector(".panel").clientWidth`)
		p.until(root + `.querySelectorAll("time")[0].textContent !== "" && ` + root + `.querySelector(".root").lang.startsWith("` + code + `")`)
		want := "ltr"
		if code == "ar" || code == "he" {
			want = "rtl"
		}
		p.until(`getComputedStyle(` + root + `.querySelector(".panel")).direction === "` + want + `"`)
		p.shoot(code)
	}
	if len(seen) != 16 {
		t.Errorf("%d languages, want 16", len(seen))
	}
}
