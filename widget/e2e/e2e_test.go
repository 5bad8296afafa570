// Package e2e holds the widget against the real server, its embedded database
// and a real browser.
package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/cmd/statustail/programtest"
	"statustail/cmd/statustail/programtest/chromium"
)

func TestMain(m *testing.M) { programtest.Main(m, chromium.Close) }

const (
	operational = "All systems operational"
	degraded    = "Degraded performance"
	note        = chromium.Root + `.querySelector(".note")`
)

// shows waits until a tab says the words, and that it is live, no longer than
// until deadline.
func shows(p *chromium.Tab, deadline time.Time, words string) {
	p.T.Helper()
	p.Within(time.Until(deadline), fmt.Sprintf(
		`%s.querySelector(".words")?.textContent === %q && !%s`, chromium.Root, words, note))
}

// state changes a component of the page demo.
func state(s *programtest.Program, word string) {
	s.CLI("component", "state", "--page", "demo", "API", word)
}

// subscribers is how many connections the server has.
func subscribers(t *testing.T, s *programtest.Program) int {
	t.Helper()
	res, err := http.Get(s.OpsURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, m := range regexp.MustCompile(`(?m)^statustail_subscribers(?:\{[^}]*\})? (\d+)`).FindAllSubmatch(body, -1) {
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// From a write in the database, by any client, to the changed words: under a
// second, without a reload.
func TestWriteIsShownWithinASecond(t *testing.T) {
	s := programtest.Start(t)
	p := chromium.NewProfile(t)
	p.Open(s.URL + "/-/demo/corner")
	shows(p, time.Now().Add(chromium.Patience), operational)
	// The page notes when its words change, by the clock of this machine.
	chromium.Eval[any](p, fmt.Sprintf(`changed = {}, new MutationObserver(() => {
		changed[%s.querySelector(".words").textContent] ??= Date.now() }).observe(%s, { childList: true, characterData: true, subtree: true }), null`,
		chromium.Root, chromium.Root))

	client, err := mongo.Connect(options.Client().ApplyURI(s.MongoURI))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := client.Disconnect(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	components := client.Database("statustail").Collection("components")
	var took []time.Duration
	for i, step := range []struct{ state, words string }{
		{"degraded", degraded}, {"partial_outage", "Partial outage"}, {"outage", "Outage"}, {"operational", operational},
	} {
		written := time.Now()
		if _, err := components.UpdateMany(t.Context(), bson.M{"page": "demo", "name": "API"},
			bson.M{"$set": bson.M{"state": step.state}}); err != nil {
			t.Fatal(err)
		}
		p.Until(fmt.Sprintf(`changed[%q]`, step.words))
		shown := time.UnixMilli(chromium.Eval[int64](p, fmt.Sprintf(`changed[%q]`, step.words)))
		took = append(took, shown.Sub(written))
		if i == 0 {
			p.Shoot("degraded")
		}
	}
	// One may have met a moment in which this machine did something else.
	slices.Sort(took)
	t.Logf("from the write to the words: %v", took)
	if took[2] > time.Second {
		t.Errorf("writes were shown after %v, want under a second", took)
	}
}

// One connection for all tabs of a browser. Whoever holds it may close its
// tab or crash: five seconds later, every other tab is right.
func TestEightTabs(t *testing.T) {
	s := programtest.Start(t)
	tabs := []*chromium.Tab{chromium.NewProfile(t)}
	for len(tabs) < 8 {
		tabs = append(tabs, tabs[0].Another())
	}
	for _, p := range tabs {
		p.Open(s.URL + "/-/demo/corner")
	}
	for _, p := range tabs {
		shows(p, time.Now().Add(chromium.Patience), operational)
	}
	if n := subscribers(t, s); n != 1 {
		t.Errorf("8 tabs have %d connections", n)
	}
	state(s, "degraded")
	changed := time.Now()
	for _, p := range tabs {
		shows(p, changed.Add(5*time.Second), degraded)
	}

	words := map[bool]string{true: "degraded", false: "operational"}
	headline := map[bool]string{true: degraded, false: operational}
	worse := true
	for _, end := range []struct {
		how string
		end func(*chromium.Tab)
	}{
		{"closed", func(p *chromium.Tab) { p.Close() }},
		{"crashed", func(p *chromium.Tab) { p.Crash() }},
	} {
		leader := -1
		for i, p := range tabs {
			// A stream that is open is no resource yet: the leader is the
			// tab that holds the lock, which each can ask for itself.
			if chromium.Eval[bool](p, `navigator.locks.query().then(async q => {
				const mine = await new Promise(r => navigator.locks.request("me" + Math.random(), async l => r((await navigator.locks.query()).held.find(h => h.name === l.name).clientId)));
				return q.held.some(h => h.clientId === mine && h.name.startsWith("status-widget")) })`) {
				leader = i
			}
		}
		if leader < 0 {
			t.Fatal("no tab leads")
		}
		worse = !worse
		ended := time.Now()
		end.end(tabs[leader])
		tabs = append(tabs[:leader:leader], tabs[leader+1:]...)
		var alive []*chromium.Tab
		for _, p := range tabs {
			if p.Alive() { // not all have processes of their own
				alive = append(alive, p)
			}
		}
		tabs = alive
		state(s, words[worse])
		for _, p := range tabs {
			shows(p, ended.Add(5*time.Second), headline[worse])
		}
		t.Logf("the leader's tab %s: %d tabs right after %v, the write included", end.how, len(tabs), time.Since(ended))
		if n := subscribers(t, s); len(tabs) > 0 && n != 1 {
			t.Errorf("%d tabs have %d connections", len(tabs), n)
		}
	}
}

// The server is gone for a while, and something changes meanwhile: every tab
// says so, then is right, with no reload. Ninety seconds of absence when
// STATUSTAIL_TEST_LONG is set; five otherwise.
func TestServerIsGone(t *testing.T) {
	absence := 5 * time.Second
	if os.Getenv("STATUSTAIL_TEST_LONG") != "" {
		absence = 90 * time.Second
	}
	data := t.TempDir()
	s := programtest.Start(t, "--data", data)
	tabs := []*chromium.Tab{chromium.NewProfile(t)}
	tabs = append(tabs, tabs[0].Another(), tabs[0].Another())
	for _, p := range tabs {
		p.Open(s.URL + "/-/demo/corner")
		shows(p, time.Now().Add(chromium.Patience), operational)
		chromium.Eval[any](p, `notReloaded = true, null`)
	}
	s.Kill()
	gone := time.After(absence)
	for _, p := range tabs {
		p.Until(note + `?.textContent.startsWith("Reconnecting, as of ")`)
	}
	tabs[0].Shoot("reconnecting")
	// The same database, at another address, for as long as the change takes.
	other := programtest.Start(t, "--data", data)
	state(other, "outage")
	other.Kill()
	<-gone
	for _, p := range tabs {
		p.Until(note + `?.textContent.startsWith("Reconnecting, as of ")`)
		p.Until(fmt.Sprintf(`%s.querySelector(".words").textContent === %q`, chromium.Root, operational))
	}
	s.Restart()
	back := time.Now()
	for _, p := range tabs {
		shows(p, back.Add(75*time.Second), "Outage")
		p.Until(`notReloaded`)
	}
	t.Logf("gone for %v; every tab was right %v after the restart", absence, time.Since(back).Round(100*time.Millisecond))
	if n := subscribers(t, s); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// What a person opens: the status page itself, and the tag from /-/embed on
// a page of another origin.
func TestEmbedded(t *testing.T) {
	s := programtest.Start(t)
	s.CLI("page", "put", "demo", "--name", "Demo", "--origin", "*")
	res, err := http.Get(s.URL + "/-/embed?page=demo")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	printed := regexp.MustCompile(`&lt;script async src=[^\n]*integrity=[^\n]*&lt;/script&gt;`).FindString(string(body))
	tag := strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#43;", "+", "&amp;", "&").Replace(printed)
	if !strings.Contains(tag, "integrity=") {
		t.Fatalf("/-/embed prints no tag: %q", tag)
	}
	site := http.NewServeMux()
	site.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<!doctype html><html lang=en><title>Customer</title><h1>Customer</h1>%s", tag)
	})
	customer := newServer(t, site)
	s.CLI("issue", "open", "--page", "demo", "--title", "Heavy <load>", "--component", "API", "--state", "degraded", "--body", "**It** is busy.")
	p := chromium.NewProfile(t)
	p.Open(customer)
	p.Says(degraded)
	chromium.Eval[any](p, `document.querySelector("status-widget").setAttribute("open", ""), null`)
	p.Panel("Heavy <load>")
	p.Panel("It is busy.")
	p.Shoot("customer")

	p.Open(s.URL + "/demo")
	p.Until(`document.querySelector("status-widget")?.shadowRoot.querySelector(".words")?.textContent`)
	p.Says(degraded)
	p.Shoot("page")
}
