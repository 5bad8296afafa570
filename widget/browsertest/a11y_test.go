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

	"statustail/cmd/statustail/programtest/chromium"
	"statustail/widget"
)

// axe-core 4.10.3 by Deque Systems, under the Mozilla Public License 2.0 that
// lies beside it.
//
//go:embed testdata/axe.min.js
var axe string

// accessible fails for everything that axe finds on a page.
func accessible(p *chromium.Tab, what string) {
	p.T.Helper()
	accessibleWithin(p, what, "document")
}

// accessibleWithin does so for a part of the page, given as an expression.
func accessibleWithin(p *chromium.Tab, what, part string) {
	p.T.Helper()
	chromium.Eval[any](p, axe+"; null")
	found := chromium.Eval[string](p, `axe.run(`+part+`).then(r => JSON.stringify(r.violations.map(v => ({
		rule: v.id, help: v.help, nodes: v.nodes.map(n => [n.target.join(" "), n.failureSummary]) }))))`)
	var violations []struct {
		Rule, Help string
		Nodes      [][]string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		p.T.Fatal(err)
	}
	for _, v := range violations {
		p.T.Errorf("%s: %s: %s %q", what, v.Rule, v.Help, v.Nodes)
	}
}

// media plays a visitor's settings.
func media(p *chromium.Tab, features ...string) {
	p.T.Helper()
	params := emulation.SetEmulatedMediaParams{}
	for i := 0; i < len(features); i += 2 {
		params.Features = append(params.Features, &emulation.MediaFeature{Name: features[i], Value: features[i+1]})
	}
	if _, err := chromedp.Call(p.Ctx, emulation.SetEmulatedMedia, params); err != nil {
		p.T.Fatal(err)
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
			p := chromium.NewProfile(t)
			media(p, "prefers-color-scheme", "light")
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
					p.Do(chromedp.EmulateViewport(320, 640))
				}
				p.Open(s.URL + "/-/demo/" + name)
				p.Until(`document.querySelector("h1")`)
				if name == "" {
					accessible(p, state.name)
					p.Shoot(state.name)
					continue
				}
				all := `[...document.querySelectorAll("status-widget")]`
				p.Until(all + `.length > 0 && ` + all + `.every(w => w.shadowRoot?.querySelector(".words")?.textContent)`)
				p.Shoot(state.name)
				last := all + `.filter(w => !w.hasAttribute("hide-when")).at(-1)`
				chromium.Eval[any](p, last+`.setAttribute("open", ""), null`)
				p.Until(strings.ReplaceAll(chromium.PanelIsWhole, `document.querySelector("status-widget")`, last))
				p.Until(`document.documentElement.scrollWidth <= innerWidth`)
				p.Shoot(state.name + "-open")
				if name == "hostile" {
					// The rudest page makes a mess of itself, not of the widget;
					// axe needs sound prototypes to look at it.
					chromium.Eval[any](p, `for (const type of [Object, Array, String, Function, Number])
						for (const name of Object.keys(type.prototype)) delete type.prototype[name];
						Array.from = (list, f = (x) => x) => (list[Symbol.iterator] ? [...list] : Array.prototype.slice.call(list)).map(f), null`)
					accessibleWithin(p, state.name+", open", last)
					continue
				}
				accessible(p, state.name+", open")
				if state.name == "calm" {
					continue
				}
				media(p, "prefers-color-scheme", "dark")
				accessible(p, state.name+", dark")
				p.Shoot(state.name + "-dark")
				media(p, "prefers-color-scheme", "light")
			}
		})
	}
}

// Everything can be done with the keyboard, and focus is never lost.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	p := chromium.NewProfile(t)
	p.Open(s.site("a", `<!doctype html><title>A</title><a href="#1" id="before">before</a>
		<status-widget page="demo"></status-widget><a href="#2" id="after">after</a><script async src="/widget.js"></script>`))
	p.Says("Partial outage")
	focus := func(selector string) {
		t.Helper()
		p.Until(chromium.Root + `.activeElement?.matches(` + "`" + selector + "`" + `)`)
	}
	expanded := func(value string) {
		t.Helper()
		p.Until(chromium.Pill + `.getAttribute("aria-expanded") === "` + value + `" && !!` + chromium.Root + `.querySelector(":popover-open") === ` + value)
	}
	press := func(key string) {
		t.Helper()
		p.Do(chromedp.KeyEvent(key))
	}
	p.Until(chromium.Pill + `.localName === "button"`)
	expanded("false")
	chromium.Eval[any](p, `document.querySelector("#before").focus(), null`)
	press(kb.Tab)
	focus(".pill")
	p.Until(`getComputedStyle(` + chromium.Pill + `).outlineStyle !== "none"`)
	press(kb.Enter)
	expanded("true")
	focus(".pill")
	for _, title := range []string{"Elevated", "Restoring", "Database"} {
		press(kb.Tab)
		p.Until(chromium.Root + `.activeElement.textContent.startsWith("` + title + `")`)
	}
	// News does not take the focus away, unless what had it is gone.
	s.send("issue_updated", object{"state": "outage", "update": object{
		"id": "u7", "issue_id": "i3", "label": "Soon", "body_text": "Get ready.", "created_at": 1700000000}})
	p.Panel("Get ready.")
	p.Until(chromium.Root + `.activeElement.textContent === "Database upgrade"`)
	press(kb.Tab)
	focus(".link")
	press(kb.Tab)
	p.Until(`document.activeElement.id === "after"`)
	chromium.Eval[any](p, `[...`+chromium.Root+`.querySelectorAll(".title")].at(-1).focus(), null`)
	s.send("issue_cancelled", object{"state": "outage", "issue": object{"id": "i3"}})
	p.Gone("Database upgrade")
	focus(".pill")
	chromium.Eval[any](p, chromium.Root+`.querySelector(".link").focus(), null`)
	press(kb.Escape)
	expanded("false")
	focus(".pill")
	press(" ")
	expanded("true")
	p.Do(chromedp.Click(chromedp.ID("before")))
	expanded("false")
	p.Until(`document.activeElement.id === "before"`)
	// Escape is the page's own when there is nothing to close.
	chromium.Eval[any](p, `onkeydown = e => key = e.key, null`)
	press(kb.Escape)
	p.Until(`key === "Escape" && document.activeElement.id === "before"`)
}

// A reader is told when the state changes, once, and of nothing else.
func TestAnnouncements(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.URL + "/-/demo/corner")
	p.Says("All systems operational")
	chromium.Eval[any](p, `said = [], new MutationObserver(() => said.push(`+chromium.Root+`.querySelector("[role=status]").textContent))
		.observe(`+chromium.Root+`.querySelector("[role=status]"), { childList: true, characterData: true, subtree: true }), null`)
	p.Until(chromium.Root + `.querySelectorAll("[role=status], [aria-live], [role=alert], [role=log]").length === 1`)
	s.send("ping_event", object{"state": "operational", "live": false, "stale_since": 1700056920})
	s.send("issue_created", object{"state": "operational", "issue": issue("i1", "Heavy load")})
	s.send("degraded", object{"state": "degraded"})
	p.Says("Degraded performance")
	s.send("issue_resolved", object{"state": "degraded", "issue": object{"id": "i1"}})
	s.hangUp()
	p.Says("All systems operational") // as init_event has it
	p.Until(`said.join() === "Degraded performance,All systems operational"`)
}

// With forced colours the states keep their shapes and the text its contrast;
// with reduced motion nothing moves.
func TestVisitorSettings(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	p := chromium.NewProfile(t)
	media(p, "forced-colors", "active", "prefers-reduced-motion", "reduce", "prefers-color-scheme", "dark")
	p.Open(s.site("a", `<!doctype html><title>A</title><html lang="en"><body><main><h1>Site</h1></main><script async src="/widget.js" data-page="demo" data-open></script>`))
	p.Says("Partial outage")
	p.Until(chromium.PanelIsWhole)
	accessible(p, "forced colours")
	p.Shoot("forced-colours")
	shape := `getComputedStyle(` + chromium.Pill + `.querySelector(".icon"))`
	p.Until(shape + `.clipPath.startsWith("path") && ` + shape + `.backgroundColor !== getComputedStyle(` + chromium.Pill + `).backgroundColor`)
	p.Until(`[...` + chromium.Root + `.querySelectorAll("*")].every(e => getComputedStyle(e).animationName === "none" && parseFloat(getComputedStyle(e).transitionDuration) === 0)`)

	// 1280 pixels at 200 % and at 400 %.
	media(p)
	for _, zoom := range []float64{2, 4} {
		p.Do(chromedp.EmulateViewport(int64(1280/zoom), int64(1024/zoom), chromedp.EmulateScale(zoom)))
		p.Until(chromium.PanelIsWhole)
		p.Until(`document.documentElement.scrollWidth <= innerWidth`)
		p.Shoot(fmt.Sprint("zoom-", zoom))
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
	p := chromium.NewProfile(t)
	p.Open(s.site("a", `<!doctype html><title>A</title><script async src="/widget.js" data-page="demo" data-open data-components="`+strings.Join(states, ",")+`"></script>`))
	p.Says("Outage")
	shapes := chromium.Eval[[]string](p, `[...`+chromium.Root+`.querySelectorAll(".component .icon")].map(e => getComputedStyle(e).clipPath)`)
	different := map[string]bool{}
	for _, shape := range shapes {
		different[shape] = true
	}
	if len(different) != len(states) {
		t.Errorf("%d states have %d shapes: %q", len(states), len(different), shapes)
	}
	p.Shoot("all")
}

// Each language is spoken as it is written, in its own direction, and nothing
// is cut off.
func TestLanguages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	p := chromium.NewProfile(t)
	p.Do(chromedp.EmulateViewport(320, 640))
	seen := map[string]string{}
	for _, code := range widget.Languages() {
		p.Open(s.site(code, `<!doctype html><meta name="viewport" content="width=device-width"><html lang="`+code+`"><title>A</title><script async src="/widget.js" data-page="demo" data-open></script>`))
		p.Until(chromium.PanelIsWhole)
		words := chromium.Eval[string](p, chromium.Root+`.querySelector(".words").textContent`)
		if other, ok := seen[words]; ok {
			t.Errorf("%s and %s both say %q", code, other, words)
		}
		seen[words] = code
		p.Until(chromium.Root + `.querySelector(".panel").scrollWidth <= ` + chromium.Root + `.querySelector(".panel").clientWidth`)
		p.Until(chromium.Root + `.querySelectorAll("time")[0].textContent !== "" && ` + chromium.Root + `.querySelector(".root").lang.startsWith("` + code + `")`)
		want := "ltr"
		if code == "ar" || code == "he" {
			want = "rtl"
		}
		p.Until(`getComputedStyle(` + chromium.Root + `.querySelector(".panel")).direction === "` + want + `"`)
		p.Shoot(code)
	}
	if len(seen) != 16 {
		t.Errorf("%d languages, want 16", len(seen))
	}
}
