package browsertest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"statustail/cmd/statustail/programtest/chromium"
)

// A page that has had no incident has no last one, one whose state is not known
// has no uptime, and figures are rounded as everywhere else.
func TestYoungPage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.state["incident_free_since"], s.state["incident_free_streak"], s.state["percent_uptime"] = nil, 109, 99.57
	p := chromium.NewProfile(t)
	p.Open(s.URL + "/-/demo/corner")
	p.Says("All systems operational")
	p.Do(chromedp.Click(chromedp.JSPath(chromium.Pill)))
	p.Panel("99.57% uptime in 30 days")
	p.Gone("Last incident")
	// An event that goes on with the streak says nothing else.
	s.send("restored", object{"state": "operational", "percent_uptime": 99.29, "incident_free_streak": 110})
	p.Panel("99.29% uptime in 30 days")
	p.Gone("Last incident")
	// One that begins anew does.
	s.send("restored", object{"state": "operational", "percent_uptime": 99.2, "incident_free_streak": 1})
	p.Panel("Last incident")
	s.send("degraded", object{"state": nil, "percent_uptime": 100, "incident_free_streak": 2})
	p.Gone("uptime")
}

// The main job: one tag shows the state and the issues, and follows every
// event of the stream.
func TestLive(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.URL + "/-/demo/corner")
	p.Says("All systems operational")

	p.Do(chromedp.Click(chromedp.JSPath(chromium.Pill)))
	p.Panel("99.98% uptime in 30 days")
	p.Panel("Last incident 12 days ago")
	p.Panel("Live")

	opened := issue("i9", "Heavy load")
	s.send("issue_created", object{"state": "operational", "percent_uptime": 99.9, "incident_free_streak": 0, "issue": opened})
	p.Panel("Heavy load")
	p.Panel("99.9% uptime in 30 days")
	p.Until(`!` + chromium.PanelText + `.includes("Last incident")`)
	s.send("degraded", object{"state": "degraded", "percent_uptime": 99.9, "incident_free_streak": 0})
	p.Says("Degraded performance")
	s.send("status_created", object{"state": "degraded", "status": object{
		"component_id": "c1", "state": "outage", "component": component("c1", "API", "partial_outage")}})
	p.Until(chromium.Root + `.querySelector(".component")?.textContent === "APIPartial outage"`)
	s.send("cache_rebuilt", object{"state": "degraded", "percent_uptime": 98.7})
	p.Panel("98.7% uptime in 30 days")
	s.send("issue_updated", object{"state": "degraded", "update": object{
		"id": "u1", "issue_id": "i9", "label": "Identified", "body_text": "It is the cache.", "created_at": time.Now().Unix()}})
	p.Panel("It is the cache.")
	p.Panel("Identified")
	s.send("issue_updated", object{"state": "degraded", "update": object{
		"id": "u2", "issue_id": "nobody", "label": "X", "body_text": "Of another.", "created_at": time.Now().Unix()}})
	s.send("issue_resolved", object{"state": "degraded", "update": object{"id": "u2", "issue_id": "i9"}})
	p.Gone("Heavy load")
	p.Gone("Of another.")
	s.send("issue_reopened", object{"state": "degraded", "update": object{"id": "u3", "issue_id": "i9", "issue": opened}})
	p.Panel("Heavy load")
	s.send("issue_resolved", object{"state": "degraded", "issue": object{"id": "i9"}})
	p.Gone("Heavy load")
	s.send("restored", object{"state": "operational", "percent_uptime": 99.9, "incident_free_streak": 0})
	p.Says("All systems operational")

	planned := with(issue("m1", "New disks"), object{
		"kind": "maintenance", "standing": false, "scheduled": true, "starts_at": time.Now().Unix() + 3700, "ends_at": time.Now().Unix() + 7300})
	s.send("issue_created", object{"state": "operational", "issue": planned})
	p.Panel("Upcoming")
	p.Panel("in 1 hour")
	s.send("issue_started", object{"state": "operational", "issue": with(planned, object{"standing": true})})
	p.Panel("Ongoing")
	p.Says("Maintenance")
	s.send("issue_ended", object{"state": "operational", "issue": planned})
	p.Gone("New disks")
	p.Says("All systems operational")
	s.send("issue_created", object{"state": "operational", "issue": planned})
	p.Panel("New disks")
	s.send("issue_cancelled", object{"state": "operational", "issue": planned})
	p.Gone("New disks")

	s.is(troubled())
	p.Says("Partial outage")
	p.Panel("Restoring search index")
	p.Panel("Upcoming")
	p.Until(chromium.Root + `.querySelector("progress").value === 0.64`)
	s.is(with(troubled(), object{"state": nil}))
	p.Says("Status unknown")
}

// Every attribute does what it says, and may change at any time.
func TestAttributes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	p := chromium.NewProfile(t)
	p.Open(s.site("a", `<!doctype html><title>A</title><script async src="/widget.js"></script>
		<body><p><status-widget page="demo"></status-widget></p>`))
	p.Says("Partial outage")
	set := func(name, value string) {
		t.Helper()
		chromium.Eval[any](p, `document.querySelector("status-widget").setAttribute("`+name+`", `+"`"+value+"`"+`), null`)
	}
	remove := func(name string) {
		t.Helper()
		chromium.Eval[any](p, `document.querySelector("status-widget").removeAttribute("`+name+`"), null`)
	}

	set("components", "c1")
	p.Says("API: Degraded performance")
	set("components", "Website, API")
	p.Says("Degraded performance")
	set("open", "")
	p.Panel("Elevated error rates")
	p.Gone("Restoring search index")
	p.Gone("uptime")
	p.Panel("WebsiteOperational")
	remove("components")
	set("component", "Webhooks")
	p.Says("Webhooks: Operational")
	p.Gone("Elevated error rates")
	set("component", "none of them")
	p.Says("Status unknown")
	remove("component")
	p.Says("Partial outage")

	set("hide-when", "operational, partial_outage")
	p.Until(`` + chromium.Pill + `.checkVisibility() === false && !` + chromium.Root + `.querySelector(":popover-open")`)
	set("hide-when", "operational")
	p.Until(`` + chromium.Pill + `.checkVisibility()`)

	for _, position := range []struct{ name, where string }{
		{"top-start", "r.left < 20 && r.top < 20"},
		{"top-end", "innerWidth - r.right < 20 && r.top < 20"},
		{"bottom-start", "r.left < 20 && innerHeight - r.bottom < 20"},
		{"bottom-end", "innerWidth - r.right < 20 && innerHeight - r.bottom < 20"},
	} {
		set("position", position.name)
		p.Until(`(r => ` + position.where + `)(` + chromium.Pill + `.getBoundingClientRect())`)
		p.Until(chromium.PanelIsWhole)
	}
	chromium.Eval[any](p, `document.documentElement.dir = "rtl", null`)
	p.Until(`(r => r.left < 20 && innerHeight - r.bottom < 20)(` + chromium.Pill + `.getBoundingClientRect())`)
	chromium.Eval[any](p, `document.documentElement.dir = "", null`)

	background := `getComputedStyle(` + chromium.Pill + `).backgroundColor`
	set("theme", "dark")
	p.Until(background + ` === "rgb(27, 29, 34)"`)
	set("theme", "light")
	p.Until(background + ` === "rgb(255, 255, 255)"`)

	set("link-target", "_blank")
	p.Until(`[...` + chromium.Root + `.querySelectorAll("a")].every(a => a.target === "_blank")`)
	p.Until(chromium.Root + `.querySelector(".title").href === "` + s.URL + `/demo/issues/i1"`)

	set("strings", `{"partial_outage": "Not all there"}`)
	p.Says("Not all there")
	remove("strings")
	set("locale", "de-AT")
	p.Says("Teilausfall")
	p.Until(chromium.Root + `.querySelector(".root").lang.startsWith("de")`)
	set("locale", "ar")
	p.Until(`getComputedStyle(` + chromium.Pill + `).direction === "rtl"`)
	set("locale", "xx-nonsense-!!")
	p.Says("Partial outage")
	remove("locale")
	chromium.Eval[any](p, `document.documentElement.lang = "fr", document.querySelector("status-widget").toggleAttribute("x"), null`)
	p.Says("Panne partielle")

	set("host", s.URL+"/")
	set("page", "other")
	p.Until(chromium.Root + `.querySelector(".link").href === "` + s.URL + `/other"`)
	p.Says("Panne partielle")
	if path := s.newest().URL.Path; path != "/other/live/v2/status_page" {
		t.Errorf("another page's stream is %s", path)
	}
	set("token", "s3cret/&")
	s.await("a stream with the token", func() bool { return s.newest().URL.Query().Get("bt") == "s3cret/&" })
	s.await("one stream only", func() bool { return s.open() == 1 })
}

// The page around a widget hears what happens.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	p.Open(s.site("a", `<!doctype html><title>A</title><script>
		heard = [];
		for (const name of ["state", "issue", "event", "connection"])
			addEventListener("status-widget:" + name, e => heard.push([name, e.detail, e.target.localName]));
		last = name => heard.findLast(h => h[0] === name)?.[1];
		</script><script async src="/widget.js" data-page="demo" data-events="deploy,price.changed"></script>`))
	p.Until(`last("state")?.state === "operational" && last("state").previous === undefined`)
	p.Until(`last("connection")?.connection === "live"`)
	s.send("degraded", object{"state": "degraded"})
	p.Until(`last("state").state === "degraded" && last("state").previous === "operational"`)
	s.send("issue_created", object{"state": "degraded", "issue": issue("i1", "Heavy load")})
	p.Until(`last("issue")?.name === "issue_created" && last("issue").issue.title === "Heavy load"`)
	s.send("issue_resolved", object{"state": "degraded", "update": object{"id": "u", "issue_id": "i1"}})
	p.Until(`last("issue").name === "issue_resolved" && last("issue").update.issue_id === "i1"`)
	s.send("deploy", object{"version": 7, "state": "of no page"})
	p.Until(`last("event")?.name === "deploy" && last("event").data.version === 7`)
	s.send("unwanted", object{"x": 1})
	s.send("price.changed", object{"x": 2})
	p.Until(`last("event").name === "price.changed"`)
	p.Until(`heard.every(h => h[2] === "status-widget") && !heard.some(h => h[1].name === "unwanted")`)

	// What the page gets is its own, and an application's event is no state.
	p.Until(`document.querySelector("status-widget").snapshot.state === "degraded"`)
	chromium.Eval[any](p, `document.querySelector("status-widget").snapshot.components.length = 0, null`)
	p.Until(`document.querySelector("status-widget").snapshot.components.length === 3`)
}

// Any number of widgets share a connection; the same tag twice is one widget;
// what is removed leaves nothing behind.
func TestLife(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	tag := `<script async src="/widget.js" data-page="demo"></script>`
	p.Open(s.site("a", `<!doctype html><title>A</title><script>
		// Every listener and timer that is there.
		held = 0;
		for (const target of [window, document]) {
			const add = target.addEventListener, drop = target.removeEventListener;
			target.addEventListener = function (type, listener, options) {
				held++;
				options?.signal?.addEventListener("abort", () => held--);
				return add.call(this, type, listener, options);
			};
			target.removeEventListener = function (...a) { held--; return drop.apply(this, a) };
		}
		const timers = new Set();
		for (const kind of ["Timeout", "Interval"]) {
			const set = window["set" + kind], clear = window["clear" + kind];
			window["set" + kind] = (f, ms) => {
				const id = set(() => { if (kind === "Timeout") timers.delete(id); f() }, ms);
				timers.add(id);
				return id;
			};
			window["clear" + kind] = id => { timers.delete(id); clear(id) };
		}
		idle = () => held === 0 && timers.size === 0;
		</script>`+tag+tag+tag+`<body><p id="here"></p>`))
	p.Says("All systems operational")
	p.Until(`document.querySelectorAll("status-widget").length === 1`)
	chromium.Eval[any](p, `document.querySelector("#here").append(...[1, 2, 3, 4, 5].map(() => {
		const w = document.createElement("status-widget"); w.setAttribute("page", "demo"); return w })), null`)
	p.Until(`[...document.querySelectorAll("status-widget")].filter(w => w.shadowRoot.querySelector(".words")?.textContent).length === 6`)
	if n := s.opened.Load(); n != 1 {
		t.Errorf("6 widgets of a page opened %d streams", n)
	}
	// Moved, it is the same widget.
	chromium.Eval[any](p, `{ const w = document.querySelector("#here").firstChild; document.body.append(w); w.setAttribute("open", "") }; null`)
	s.is(troubled())
	p.Until(`document.body.lastChild.shadowRoot.querySelector(".panel").textContent.includes("Restoring search index")`)

	chromium.Eval[any](p, `document.querySelectorAll("status-widget").forEach(w => w.remove()), null`)
	s.await("no stream", func() bool { return s.open() == 0 })
	p.Until(`idle()`)
	p.Until(`navigator.locks.query().then(q => q.held.length + q.pending.length === 0)`)

	// One that comes back knows nothing yet, and works.
	if known := chromium.Eval[any](p, `document.body.append(document.createElement("status-widget")),
		document.body.lastChild.setAttribute("page", "demo"), document.body.lastChild.snapshot`); known != nil {
		t.Errorf("a new widget knows %v", known)
	}
	p.Says("Partial outage")
}

// The pill may stand inside a text, and nothing moves when it appears.
func TestPageIsNotDisturbed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := chromium.NewProfile(t)
	for _, where := range []string{"corner", "inline"} {
		p.Open(s.site(where, `<!doctype html><title>A</title>
			<style>.status { display: inline-block; vertical-align: middle; width: 14em; height: 38px }</style>
			<script>
				shift = 0;
				new PerformanceObserver(l => l.getEntries().forEach(e => { shift += e.value; why = e.sources.map(x => [x.node?.nodeName, x.previousRect, x.currentRect]) })).observe({ type: "layout-shift", buffered: true });
			</script>
			<h1>Site</h1><p>We are <span class="status"><script async src="/widget.js" data-page="demo" `+
			map[string]string{"corner": "", "inline": `data-position="inline"`}[where]+`></script></span> today.</p><p>Text after it.</p>`))
		p.Says("All systems operational")
		chromium.Eval[any](p, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))`)
		if shift := chromium.Eval[float64](p, `shift`); shift != 0 {
			t.Errorf("%s: the page’s layout shifted by %v: %s", where, shift, chromium.Eval[string](p, `JSON.stringify(why)`))
		}
		// One request for everything, beside the stream, and only to our host.
		requests := chromium.Eval[[]string](p, `performance.getEntriesByType("resource").map(e => new URL(e.name).pathname)`)
		if len(requests) == 0 || requests[0] != "/widget.js" || len(requests) > 2 {
			t.Errorf("%s: requests are %q", where, requests)
		}
		p.Until(`performance.getEntriesByName(location.origin + "/widget.js")[0].renderBlockingStatus === "non-blocking"`)
		p.Until(`localStorage.length + sessionStorage.length === 0 && document.cookie === ""`)
	}
}

// Wherever the pill stands, the panel is beside it and within the window,
// also after scrolling and in a small window.
func TestPanelIsBesideThePill(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	p := chromium.NewProfile(t)
	p.Open(s.site("a", `<!doctype html><meta name="viewport" content="width=device-width"><title>A</title>
		<style>body { height: 3000px; margin: 0 } status-widget { position: absolute; top: 900px; left: 100px }</style>
		<status-widget page="demo" open></status-widget><script async src="/widget.js"></script>`))
	p.Says("Partial outage")
	for _, size := range [][2]int64{{1000, 700}, {320, 480}} {
		p.Do(chromedp.EmulateViewport(size[0], size[1]))
		for _, scroll := range []int{890, 850, 700, 550, 460} {
			for _, left := range []string{"0", "40%", "calc(100% - 130px)"} {
				eval := fmt.Sprintf(`scrollTo(0, %d), document.querySelector("status-widget").style.left = %q,
					new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))`, scroll, left)
				chromium.Eval[any](p, eval)
				if chromium.Eval[bool](p, `(r => r.bottom > innerHeight)(`+chromium.Pill+`.getBoundingClientRect())`) {
					continue // not to be seen
				}
				p.Until(chromium.PanelIsWhole)
				p.Until(`((a, b) => a.bottom <= b.top || b.bottom <= a.top)(` + chromium.Pill + `.getBoundingClientRect(), ` +
					chromium.Root + `.querySelector(".panel").getBoundingClientRect())`)
			}
		}
	}
}

// Showing the widget and opening its panel, all tasks together, takes less of
// the processor than the one task of 50 ms that would be felt. That is counted
// in processor time, since other programs may have the processor, too.
func TestNoLongTask(t *testing.T) {
	s := newServer(t)
	s.becomes(troubled())
	p := chromium.NewProfile(t)
	if _, err := chromedp.Call(p.Ctx, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}); err != nil {
		t.Fatal(err)
	}
	busy := func() float64 {
		t.Helper()
		res, err := chromedp.Call(p.Ctx, performance.GetMetrics, cdp.Empty{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range res.Metrics {
			if m.Name == "TaskDuration" {
				return m.Value * 1000
			}
		}
		t.Fatal("no TaskDuration")
		return 0
	}
	load := func(tag string) float64 {
		t.Helper()
		p.Open(s.site("a", `<!doctype html><title>A</title><h1>Site</h1>`+tag))
		if tag != "" {
			p.Says("Partial outage")
			p.Until(chromium.PanelIsWhole)
		}
		return busy()
	}
	var without, with []float64
	for range 5 {
		without = append(without, load(""))
		with = append(with, load(`<script async src="/widget.js" data-page="demo" data-open></script>`))
	}
	t.Logf("milliseconds without the widget %.1f, with it %.1f", without, with)
	if took := slices.Min(with) - slices.Min(without); took > 50 {
		t.Errorf("the widget takes %.1f ms of processor time", took)
	}
}
