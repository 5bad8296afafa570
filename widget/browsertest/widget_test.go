package browsertest

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// The main job: one tag shows the state and the issues, and follows every
// event of the stream.
func TestLive(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := newProfile(t)
	p.open(s.URL + "/-/demo/corner")
	p.says("All systems operational")

	p.do(chromedp.Click(chromedp.JSPath(pill)))
	p.panel("99.98% uptime in 30 days")
	p.panel("Last incident 12 days ago")
	p.panel("Live")

	opened := issue("i9", "Heavy load")
	s.send("issue_created", object{"state": "operational", "percent_uptime": 99.9, "incident_free_streak": 0, "issue": opened})
	p.panel("Heavy load")
	p.panel("99.9% uptime in 30 days")
	p.until(`!` + panelText + `.includes("Last incident")`)
	s.send("degraded", object{"state": "degraded", "percent_uptime": 99.9, "incident_free_streak": 0})
	p.says("Degraded performance")
	s.send("status_created", object{"state": "degraded", "status": object{
		"component_id": "c1", "state": "degraded", "component": component("c1", "API", "degraded")}})
	p.until(root + `.querySelector(".component")?.textContent === "APIDegraded performance"`)
	s.send("issue_updated", object{"state": "degraded", "update": object{
		"id": "u1", "issue_id": "i9", "label": "Identified", "body_text": "It is the cache.", "created_at": time.Now().Unix()}})
	p.panel("It is the cache.")
	p.panel("Identified")
	s.send("issue_updated", object{"state": "degraded", "update": object{
		"id": "u2", "issue_id": "nobody", "label": "X", "body_text": "Of another.", "created_at": time.Now().Unix()}})
	s.send("issue_resolved", object{"state": "degraded", "update": object{"id": "u2", "issue_id": "i9"}})
	p.gone("Heavy load")
	p.gone("Of another.")
	s.send("issue_reopened", object{"state": "degraded", "update": object{"id": "u3", "issue_id": "i9", "issue": opened}})
	p.panel("Heavy load")
	s.send("issue_resolved", object{"state": "degraded", "issue": object{"id": "i9"}})
	p.gone("Heavy load")
	s.send("restored", object{"state": "operational", "percent_uptime": 99.9, "incident_free_streak": 0})
	p.says("All systems operational")

	planned := with(issue("m1", "New disks"), object{
		"kind": "maintenance", "standing": false, "scheduled": true, "starts_at": time.Now().Unix() + 3700, "ends_at": time.Now().Unix() + 7300})
	s.send("issue_created", object{"state": "operational", "issue": planned})
	p.panel("Upcoming")
	p.panel("in 1 hour")
	s.send("issue_started", object{"state": "operational", "issue": with(planned, object{"standing": true})})
	p.panel("Ongoing")
	p.says("Maintenance")
	s.send("issue_ended", object{"state": "operational", "issue": planned})
	p.gone("New disks")
	p.says("All systems operational")
	s.send("issue_created", object{"state": "operational", "issue": planned})
	p.panel("New disks")
	s.send("issue_cancelled", object{"state": "operational", "issue": planned})
	p.gone("New disks")

	s.is(troubled())
	p.says("Partial outage")
	p.panel("Restoring search index")
	p.panel("Upcoming")
	p.until(root + `.querySelector("progress").value === 0.64`)
	s.is(with(troubled(), object{"state": nil}))
	p.says("Status unknown")
}

// Every attribute does what it says, and may change at any time.
func TestAttributes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.becomes(troubled())
	p := newProfile(t)
	p.open(s.site("a", `<!doctype html><title>A</title><script async src="/widget.js"></script>
		<body><p><status-widget page="demo"></status-widget></p>`))
	p.says("Partial outage")
	set := func(name, value string) {
		t.Helper()
		eval[any](p, `document.querySelector("status-widget").setAttribute("`+name+`", `+"`"+value+"`"+`), null`)
	}
	remove := func(name string) {
		t.Helper()
		eval[any](p, `document.querySelector("status-widget").removeAttribute("`+name+`"), null`)
	}

	set("components", "c1")
	p.says("API: Degraded performance")
	set("components", "Website, API")
	p.says("Degraded performance")
	set("open", "")
	p.panel("Elevated error rates")
	p.gone("Restoring search index")
	p.gone("uptime")
	p.panel("WebsiteOperational")
	remove("components")
	set("component", "Webhooks")
	p.says("Webhooks: Operational")
	p.gone("Elevated error rates")
	set("component", "none of them")
	p.says("Status unknown")
	remove("component")
	p.says("Partial outage")

	set("hide-when", "operational, partial_outage")
	p.until(`` + pill + `.checkVisibility() === false && !` + root + `.querySelector(":popover-open")`)
	set("hide-when", "operational")
	p.until(`` + pill + `.checkVisibility()`)

	for _, position := range []struct{ name, where string }{
		{"top-start", "r.left < 20 && r.top < 20"},
		{"top-end", "innerWidth - r.right < 20 && r.top < 20"},
		{"bottom-start", "r.left < 20 && innerHeight - r.bottom < 20"},
		{"bottom-end", "innerWidth - r.right < 20 && innerHeight - r.bottom < 20"},
	} {
		set("position", position.name)
		p.until(`(r => ` + position.where + `)(` + pill + `.getBoundingClientRect())`)
		p.until(panelIsWhole)
	}
	eval[any](p, `document.documentElement.dir = "rtl", null`)
	p.until(`(r => r.left < 20 && innerHeight - r.bottom < 20)(` + pill + `.getBoundingClientRect())`)
	eval[any](p, `document.documentElement.dir = "", null`)

	background := `getComputedStyle(` + pill + `).backgroundColor`
	set("theme", "dark")
	p.until(background + ` === "rgb(27, 29, 34)"`)
	set("theme", "light")
	p.until(background + ` === "rgb(255, 255, 255)"`)

	set("link-target", "_blank")
	p.until(`[...` + root + `.querySelectorAll("a")].every(a => a.target === "_blank")`)
	p.until(root + `.querySelector(".title").href === "` + s.URL + `/demo/issues/i1"`)

	set("strings", `{"partial_outage": "Not all there"}`)
	p.says("Not all there")
	remove("strings")
	set("locale", "de-AT")
	p.says("Teilausfall")
	p.until(root + `.querySelector(".root").lang.startsWith("de")`)
	set("locale", "ar")
	p.until(`getComputedStyle(` + pill + `).direction === "rtl"`)
	set("locale", "xx-nonsense-!!")
	p.says("Partial outage")
	remove("locale")
	eval[any](p, `document.documentElement.lang = "fr", document.querySelector("status-widget").toggleAttribute("x"), null`)
	p.says("Panne partielle")

	set("page", "other")
	p.until(root + `.querySelector(".link").href === "` + s.URL + `/other"`)
	p.says("Panne partielle")
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
	p := newProfile(t)
	p.open(s.site("a", `<!doctype html><title>A</title><script>
		heard = [];
		for (const name of ["state", "issue", "event", "connection"])
			addEventListener("status-widget:" + name, e => heard.push([name, e.detail, e.target.localName]));
		last = name => heard.findLast(h => h[0] === name)?.[1];
		</script><script async src="/widget.js" data-page="demo" data-events="deploy,price.changed"></script>`))
	p.until(`last("state")?.state === "operational" && last("state").previous === undefined`)
	p.until(`last("connection")?.connection === "live"`)
	s.send("degraded", object{"state": "degraded"})
	p.until(`last("state").state === "degraded" && last("state").previous === "operational"`)
	s.send("issue_created", object{"state": "degraded", "issue": issue("i1", "Heavy load")})
	p.until(`last("issue")?.name === "issue_created" && last("issue").issue.title === "Heavy load"`)
	s.send("issue_resolved", object{"state": "degraded", "update": object{"id": "u", "issue_id": "i1"}})
	p.until(`last("issue").name === "issue_resolved" && last("issue").update.issue_id === "i1"`)
	s.send("deploy", object{"version": 7, "state": "of no page"})
	p.until(`last("event")?.name === "deploy" && last("event").data.version === 7`)
	s.send("unwanted", object{"x": 1})
	s.send("price.changed", object{"x": 2})
	p.until(`last("event").name === "price.changed"`)
	p.until(`heard.every(h => h[2] === "status-widget") && !heard.some(h => h[1].name === "unwanted")`)

	// What the page gets is its own, and an application's event is no state.
	p.until(`document.querySelector("status-widget").snapshot.state === "degraded"`)
	eval[any](p, `document.querySelector("status-widget").snapshot.components.length = 0, null`)
	p.until(`document.querySelector("status-widget").snapshot.components.length === 3`)
}

// Any number of widgets share a connection; the same tag twice is one widget;
// what is removed leaves nothing behind.
func TestLife(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := newProfile(t)
	tag := `<script async src="/widget.js" data-page="demo"></script>`
	p.open(s.site("a", `<!doctype html><title>A</title><script>
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
	p.says("All systems operational")
	p.until(`document.querySelectorAll("status-widget").length === 1`)
	eval[any](p, `document.querySelector("#here").append(...[1, 2, 3, 4, 5].map(() => {
		const w = document.createElement("status-widget"); w.setAttribute("page", "demo"); return w })), null`)
	p.until(`[...document.querySelectorAll("status-widget")].filter(w => w.shadowRoot.querySelector(".words")?.textContent).length === 6`)
	if n := s.opened.Load(); n != 1 {
		t.Errorf("6 widgets of a page opened %d streams", n)
	}
	// Moved, it is the same widget.
	eval[any](p, `{ const w = document.querySelector("#here").firstChild; document.body.append(w); w.setAttribute("open", "") }; null`)
	s.is(troubled())
	p.until(`document.body.lastChild.shadowRoot.querySelector(".panel").textContent.includes("Restoring search index")`)

	eval[any](p, `document.querySelectorAll("status-widget").forEach(w => w.remove()), null`)
	s.await("no stream", func() bool { return s.open() == 0 })
	p.until(`idle()`)
	p.until(`navigator.locks.query().then(q => q.held.length + q.pending.length === 0)`)

	// And one that comes back works.
	eval[any](p, `document.body.append(document.createElement("status-widget")), document.body.lastChild.setAttribute("page", "demo"), null`)
	p.says("Partial outage")
}

// The pill may stand inside a text, and nothing moves when it appears; the
// script makes no task long enough to be felt.
func TestPageIsNotDisturbed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := newProfile(t)
	for _, where := range []string{"corner", "inline"} {
		p.open(s.site(where, `<!doctype html><title>A</title>
			<style>.status { display: inline-block; vertical-align: middle; width: 14em; height: 38px }</style>
			<script>
				shift = long = 0;
				new PerformanceObserver(l => l.getEntries().forEach(e => { shift += e.value; why = e.sources.map(x => [x.node?.nodeName, x.previousRect, x.currentRect]) })).observe({ type: "layout-shift", buffered: true });
				new PerformanceObserver(l => l.getEntries().forEach(e => long = Math.max(long, e.duration))).observe({ type: "longtask", buffered: true });
			</script>
			<h1>Site</h1><p>We are <span class="status"><script async src="/widget.js" data-page="demo" `+
			map[string]string{"corner": "", "inline": `data-position="inline"`}[where]+`></script></span> today.</p><p>Text after it.</p>`))
		p.says("All systems operational")
		eval[any](p, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))`)
		if shift := eval[float64](p, `shift`); shift != 0 {
			t.Errorf("%s: the page’s layout shifted by %v: %s", where, shift, eval[string](p, `JSON.stringify(why)`))
		}
		if long := eval[float64](p, `long`); long > 50 {
			t.Logf("%s: a task took %v ms", where, long)
		}
		// One request for everything, beside the stream, and only to our host.
		requests := eval[[]string](p, `performance.getEntriesByType("resource").map(e => new URL(e.name).pathname)`)
		if len(requests) == 0 || requests[0] != "/widget.js" || len(requests) > 2 {
			t.Errorf("%s: requests are %q", where, requests)
		}
		p.until(`performance.getEntriesByName(location.origin + "/widget.js")[0].renderBlockingStatus === "non-blocking"`)
		p.until(`localStorage.length + sessionStorage.length === 0 && document.cookie === ""`)
	}
}
