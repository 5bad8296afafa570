package browsertest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"statustail/cmd/statustail/programtest/chromium"
	"statustail/widget"
)

// elsewhere is the address of the server under another origin: as a site
// sees it that is not its own.
func elsewhere(s *server) string {
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
}

// watch collects what the browser complains about on a page.
const watch = `<script>
	bad = [];
	addEventListener("securitypolicyviolation", e => bad.push(e.violatedDirective + " " + e.blockedURI + " " + e.sample));
	addEventListener("error", e => bad.push(e.message));
	addEventListener("unhandledrejection", e => bad.push(String(e.reason)));
	</script>`

// A site of another origin, with the strictest policy that lets the widget
// run at all, and a pinned build.
func TestStrictPolicy(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	host := elsewhere(s)
	url := s.site("strict", `<!doctype html><html lang="de"><title>Strict</title><script src="/at/site/watch"></script><h1>Site</h1>`+
		strings.Replace(widget.PinnedTag(host, "demo"), "<script ", `<script data-open `, 1),
		"Content-Security-Policy", fmt.Sprintf("default-src 'none'; script-src %s %s/at/site/watch; connect-src %s; require-trusted-types-for 'script'; trusted-types 'none'",
			host, s.URL, host))
	script := strings.TrimSuffix(strings.TrimPrefix(watch, "<script>"), "</script>")
	s.mu.Lock()
	s.hosts["watch"] = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, script)
	}
	s.mu.Unlock()
	p := chromium.NewProfile(t)
	p.Open(url)
	p.Says("Teilausfall") // the language file is let in, too
	p.Until(chromium.PanelIsWhole)
	p.Until(`getComputedStyle(` + chromium.Pill + `).display === "flex"`) // and the styles
	s.send("deploy", object{})
	s.is(calm())
	p.Says("Alle Systeme in Betrieb")
	if bad := chromium.Eval[[]string](p, `bad`); len(bad) > 0 {
		t.Errorf("the policy was violated: %q", bad)
	}
	p.Shoot("calm")
}

// A build that is not the one pinned does not run.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.site("a", `<!doctype html><title>A</title>`+watch+strings.Replace(widget.PinnedTag(elsewhere(s), "demo"),
		widget.Integrity(), "sha384-"+strings.Repeat("A", 64), 1)+`<script>onload = () => done = true</script>`))
	p.Until(`window.done`)
	p.Until(`!document.querySelector("status-widget") && !customElements.get("status-widget")`)
}

// A page with the rudest style sheet, and with prototypes that libraries of
// another age have changed: the widget is whole, and so is the page.
func TestHostilePage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	p := chromium.NewProfile(t)
	p.Open(s.URL + "/-/demo/hostile")
	p.Says("Partial outage")
	p.Until(`document.querySelectorAll("status-widget").length === 2`)
	corner := `[...document.querySelectorAll("status-widget")].at(-1)`
	chromium.Eval[any](p, corner+`.setAttribute("open", ""), null`)
	p.Until(corner + `.shadowRoot.querySelectorAll(".issue").length === 3`)
	p.Until(strings.ReplaceAll(chromium.PanelIsWhole, `document.querySelector("status-widget")`, corner))
	style := func(selector, property, want string) {
		t.Helper()
		if got := chromium.Eval[string](p, fmt.Sprintf(`getComputedStyle(%s.shadowRoot.querySelector(%q))[%q]`, corner, selector, property)); got != want {
			t.Errorf("%s of %s is %s, want %s", property, selector, got, want)
		}
	}
	style(".pill", "display", "flex")
	style(".pill", "fontSize", "14px")
	style(".title", "fontWeight", "600")
	p.Until(`(r => innerWidth - r.right < 20 && innerHeight - r.bottom < 20)(` + corner + `.shadowRoot.querySelector(".pill").getBoundingClientRect())`)
	s.is(calm())
	p.Says("All systems operational")
	p.Shoot("hostile")

	// What the widget adds to the page is one name and its elements.
	p.Open(s.site("globals", `<!doctype html><title>A</title><script>before = new Set(Object.getOwnPropertyNames(window))</script><script async src="/widget.js" data-page="demo"></script>`))
	p.Says("All systems operational")
	if added := chromium.Eval[[]string](p, `Object.getOwnPropertyNames(window).filter(n => !before.has(n) && n !== "before")`); len(added) > 0 {
		t.Errorf("the script adds globals: %q", added)
	}
}

// Whatever stands in the database, it is shown as the text it is.
func TestTextIsText(t *testing.T) {
	t.Parallel()
	markup := `</p><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>&amp;<b>bold</b>`
	long := strings.Repeat("Wirtschaftsprüfung", 28)[:500]
	rtl := "هذا نص طويل من اليمين إلى اليسار \u202e مع علامات 👩‍👩‍👧‍👦🏳️‍🌈"
	s := newServer(t)
	state := troubled()
	issues := []object{}
	for i, text := range []string{markup, long, rtl} {
		is := with(issue(fmt.Sprintf("<%d>/../?", i), text), object{
			"label": text, "body_text": text, "body": text, "progress": 30 + i,
			"components": []object{component("c"+fmt.Sprint(i), text, "outage")},
		})
		issues = append(issues, is)
	}
	state = with(state, object{"issues": issues, "page": object{"id": "demo", "name": markup},
		"components": []object{component("c0", markup, "outage"), component("c1", long, "outage"), component("c2", rtl, "degraded")}})
	s.becomes(state)
	p := chromium.NewProfile(t)
	for _, width := range []int64{1000, 320} {
		p.Do(chromedp.EmulateViewport(width, 700))
		p.Open(s.site("a", `<!doctype html><meta name="viewport" content="width=device-width"><title>A</title>`+watch+`<h1>Site</h1><script async src="/widget.js" data-page="demo" data-open data-components="c0,c1,c2"></script>`))
		p.Says("Outage")
		for _, text := range []string{markup, long, rtl} {
			p.Until(fmt.Sprintf(`[...%s.querySelectorAll(".title, .body, .label, .name, .affected")].filter(e => e.textContent === %q).length === 5`, chromium.Root, text))
		}
		p.Until(`!window.hacked && !` + chromium.Root + `.querySelector("img, script, b")`)
		p.Until(chromium.PanelIsWhole)
		p.Until(chromium.Root + `.querySelector(".panel").scrollWidth <= ` + chromium.Root + `.querySelector(".panel").clientWidth`)
		p.Until(`document.documentElement.scrollWidth <= innerWidth`)
		p.Until(fmt.Sprintf(`%s.querySelector(".title").href === "%s/demo/issues/%%3C0%%3E%%2F..%%2F%%3F"`, chromium.Root, s.URL))
		chromium.Eval[any](p, `document.querySelector("status-widget").setAttribute("components", "c1"), null`)
		p.Until(`(r => r.left >= 0 && r.right <= innerWidth && r.top >= 0)(` + chromium.Pill + `.getBoundingClientRect())`)
		p.Shoot(fmt.Sprint(width))
		chromium.Eval[any](p, `document.querySelector("status-widget").removeAttribute("components"), null`)
		p.Until(chromium.Root + `.querySelector(".page").textContent.startsWith("</p>")`)
	}
	if bad := chromium.Eval[[]string](p, `bad`); len(bad) > 0 {
		t.Errorf("the page complains: %q", bad)
	}
}

// A server that says nonsense does no harm to the page, and the next sound
// word is heard.
func TestNonsenseFromTheServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(object{"state": "operational"}) // the least that init_event has
	p := chromium.NewProfile(t)
	p.Open(s.site("a", `<!doctype html><title>A</title><script async src="/widget.js" data-page="demo" data-open data-events="deploy"></script>`))
	p.Says("All systems operational")
	s.send("issue_created", object{"state": "degraded", "issue": object{"id": "i1", "title": "Bare", "standing": true, "components": []object{}, "created_at": time.Now().Unix()}})
	p.Panel("Bare")
	s.raw("event: degraded\ndata: {not json\n\n")
	s.raw("event: status_created\ndata: {\"status\":{\"component_id\":\"nobody\"}}\n\n")
	s.raw("event: issue_updated\ndata: {}\n\n")
	s.raw("event: issue_resolved\ndata: {}\n\n")
	s.raw("event: nothing we know\ndata: {}\n\n")
	s.raw("event: deploy\ndata: [1,2]\n\n")
	s.raw("data: a message without a name\n\n")
	s.is(troubled())
	p.Says("Partial outage")
}

// No cookies, no storage, no host but ours, whatever happens.
func TestNothingIsStored(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	host := elsewhere(s)
	p := chromium.NewProfile(t)
	if _, err := chromedp.Call(p.Ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	sent := chromedp.Events(p.Ctx, network.RequestWillBeSent)
	p.Open(s.site("a", `<!doctype html><html lang="ja"><title>A</title><link rel="icon" href="data:,">`+widget.Tag(host, "demo"),
		"Set-Cookie", "site=secret; Path=/"))
	p.Says("一部障害")
	p.Do(chromedp.Click(chromedp.JSPath(chromium.Pill)))
	p.Until(chromium.Root + `.querySelector(":popover-open")`)
	p.Do(chromedp.KeyEvent("\x1b"))
	p.Until(`!` + chromium.Root + `.querySelector(":popover-open")`)
	p.Until(`localStorage.length + sessionStorage.length === 0 && document.cookie === "site=secret"`)
	p.Until(`Promise.all([indexedDB.databases(), caches.keys(), navigator.serviceWorker.getRegistrations()]).then(all => all.flat().length === 0)`)
	requests := 0
	for event, err := range sent {
		if err != nil {
			t.Fatal(err)
		}
		requests++
		url := event.Request.URL
		if !strings.HasPrefix(url, s.URL+"/at/") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, host+"/") {
			t.Errorf("another host is contacted: %s", url)
		}
		if strings.HasSuffix(url, "/live/v2/status_page?&last_event_id=") {
			break
		}
	}
	if requests < 3 {
		t.Errorf("saw %d requests only", requests)
	}
	if cookie := s.newest().Header.Get("Cookie"); cookie != "" {
		t.Errorf("the stream is asked for with a cookie: %s", cookie)
	}
}
