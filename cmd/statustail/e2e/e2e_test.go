// Package e2e drives the real program: its command line, a real browser, a
// real database, and a reader that is not ours.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/r3labs/sse/v2"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"statustail/cmd/statustail/programtest"
	"statustail/cmd/statustail/programtest/chromium"
)

func TestMain(m *testing.M) { programtest.Main(m, chromium.Close) }

// patience is how long anything may take before a test gives up. It is no
// measure of speed: these machines are shared.
const patience = 30 * time.Second

// An event is one of a stream.
type event struct {
	name string
	data map[string]any
}

// subscribe reads a live stream with r3labs's client, which knows nothing of
// this project.
func subscribe(t *testing.T, url string) <-chan event {
	t.Helper()
	events := make(chan event, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	client := sse.NewClient(url)
	go client.SubscribeRawWithContext(ctx, func(m *sse.Event) {
		e := event{name: string(m.Event)}
		if json.Unmarshal(m.Data, &e.data) == nil {
			events <- e
		}
	})
	return events
}

// await gives the next event of that name.
func await(t *testing.T, events <-chan event, name string) event {
	t.Helper()
	var seen []string
	timeout := time.After(patience)
	for {
		select {
		case e := <-events:
			if e.name == name {
				return e
			}
			seen = append(seen, e.name)
		case <-timeout:
			t.Fatalf("no %s came; what came: %v", name, seen)
		}
	}
}

func TestMainJob(t *testing.T) {
	p := programtest.Start(t)
	events := subscribe(t, p.URL+"/demo/live/v2/status_page")
	first := await(t, events, "init_event")
	if n := len(first.data["components"].([]any)); n != 3 {
		t.Fatalf("the demo page has %d components", n)
	}
	tab := chromium.NewProfile(t)
	tab.Open(p.URL + "/-/demo/corner")
	awaitWidget(tab, "operational")

	id := p.CLI("issue", "open", "--page", "demo", "--title", "Heavy load", "--component", "API", "--state", "degraded")
	created := await(t, events, "issue_created")
	if issue := created.data["issue"].(map[string]any); issue["id"] != id || issue["title"] != "Heavy load" {
		t.Errorf("issue_created: %v", issue)
	}
	if e := await(t, events, "degraded"); e.data["state"] != "degraded" {
		t.Errorf("degraded: %v", e.data)
	}
	awaitWidget(tab, "degraded", "Heavy load")
	tab.Shoot("degraded")

	p.CLI("issue", "resolve", id)
	await(t, events, "issue_resolved")
	if e := await(t, events, "restored"); e.data["state"] != "operational" {
		t.Errorf("restored: %v", e.data)
	}
	awaitWidget(tab, "operational")
	if strings.Contains(chromium.Eval[string](tab, widgetText), "Heavy load") {
		t.Error("the widget still shows the resolved issue")
	}

	// The same by a plain insert with a driver.
	client, err := mongo.Connect(options.Client().ApplyURI(p.MongoURI))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(context.Background())
	issues := client.Database("statustail").Collection("issues")
	_, err = issues.InsertOne(context.Background(), bson.M{
		"_id": "mine", "page": "demo", "title": "Typed by hand", "kind": "incident", "state": "outage",
		"components": []string{"demo-api"}, "created_at": time.Now(), "updated_at": time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := await(t, events, "issue_created"); e.data["issue"].(map[string]any)["id"] != "mine" {
		t.Errorf("issue_created: %v", e.data)
	}
	awaitWidget(tab, "outage", "Typed by hand")
	if _, err := issues.DeleteOne(context.Background(), bson.M{"_id": "mine"}); err != nil {
		t.Fatal(err)
	}
	awaitWidget(tab, "operational")
	p.CLI("publish", "--page", "demo", "--name", "deploy", "--data", `{"version": "1.2"}`)
	if e := await(t, events, "deploy"); e.data["version"] != "1.2" {
		t.Errorf("deploy: %v", e.data)
	}
}

func TestBadRequestsGetNoStream(t *testing.T) {
	p := programtest.Start(t)
	for path, want := range map[string]int{
		"/nobody/live/v2/status_page": 404, "/demo/live/v2/component/nothing": 404, "/demo/live/v2/component/demo-api": 200,
	} {
		res, err := http.Get(p.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
}

func TestKilledAndRestarted(t *testing.T) {
	p := programtest.Start(t)
	tab := chromium.NewProfile(t)
	tab.Open(p.URL + "/-/demo/corner")
	awaitWidget(tab, "operational")
	native := tab.Another()
	native.Open(p.URL + "/-/demo/corner")
	chromium.Eval[any](native, `window.states = []; new EventSource("/demo/live/v2/status_page").addEventListener("init_event", e => states.push(JSON.parse(e.data).state)); null`)
	native.Within(patience, `states.length > 0`)

	p.Kill()
	awaitConnection(tab, false)
	p.Restart()
	p.CLI("issue", "open", "--page", "demo", "--title", "Power cut", "--component", "API", "--state", "outage")
	awaitWidget(tab, "outage", "Power cut")
	awaitConnection(tab, true)
	native.Within(patience, `states.length > 1`) // a browser's own EventSource came back too
	tab.Shoot("restarted")
}

func TestMaintenanceByTheClock(t *testing.T) {
	p := programtest.Start(t)
	events := subscribe(t, p.URL+"/demo/live/v2/status_page")
	await(t, events, "init_event")
	id := p.CLI("issue", "schedule", "--page", "demo", "--title", "Disk swap", "--component", "Database", "--state", "outage",
		"--starts", "+3s", "--ends", "+6s")
	if e := await(t, events, "issue_created"); e.data["issue"].(map[string]any)["standing"] != false {
		t.Errorf("scheduled: %v", e.data)
	}
	if e := await(t, events, "issue_started"); e.data["issue"].(map[string]any)["id"] != id || e.data["state"] != "outage" {
		t.Errorf("started: %v", e.data)
	}
	if e := await(t, events, "issue_ended"); e.data["issue"].(map[string]any)["id"] != id || e.data["state"] != "operational" {
		t.Errorf("ended: %v", e.data)
	}
	await(t, events, "restored")
}

func TestDrain(t *testing.T) {
	p := programtest.Start(t, "--drain", "300ms")
	res, err := http.Get(p.URL + "/demo/live/v2/status_page")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p.Signal(syscall.SIGTERM)
	retries := 0
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "retry: ") {
			retries++
		}
	}
	if retries != 2 {
		t.Errorf("%d retry: lines before the end, want one at the beginning and one at the end", retries)
	}
	if code := p.Wait(); code != 0 {
		t.Errorf("exit status %d after a drain", code)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := programtest.Start(t, "--drain", "10m")
	res, err := http.Get(p.URL + "/demo/live/v2/status_page")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p.Signal(syscall.SIGTERM)
	for {
		ready, err := http.Get(p.OpsURL + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		ready.Body.Close()
		if ready.StatusCode == http.StatusServiceUnavailable {
			break
		}
	}
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(); code == 0 {
		t.Error("exit status 0, though streams were cut")
	}
}

// watch is the terminal's reader.
func TestWatch(t *testing.T) {
	p := programtest.Start(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := programtest.Command(ctx, t, "watch", "--json", p.URL+"/demo")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		cmd.Wait()
		programtest.Raced(t, stderr.String())
	}()
	lines := bufio.NewScanner(stdout)
	for want := range strings.FieldsSeq("init_event deploy") {
		for lines.Scan() && !strings.Contains(lines.Text(), want) {
		}
		if !strings.Contains(lines.Text(), want) {
			t.Fatalf("watch ended before %s", want)
		}
		if want == "init_event" {
			p.CLI("publish", "--page", "demo", "--name", "deploy", "--data", "1")
		}
	}
}

// The status page itself follows, too: not only the widget on it.
func TestStatusPageFollows(t *testing.T) {
	p := programtest.Start(t)
	tab := chromium.NewProfile(t)
	tab.Open(p.URL + "/demo")
	chromium.Eval[any](tab, `window.unloaded = false; null`)
	p.CLI("component", "state", "--page", "demo", "API", "outage")
	tab.Within(patience, `document.querySelector("main").innerText.includes("Major outage")`)
	p.CLI("component", "state", "--page", "demo", "Website", "degraded") // the page's state stays
	tab.Within(patience, `document.querySelector("main").innerText.includes("degraded")`)
	tab.Within(patience, `window.unloaded === false`) // nobody reloaded it
	tab.Shoot("degraded")
}

// With nothing kept for those who return, pages are served like with anything
// else, whatever is written while their first viewers come.
func TestNoReplay(t *testing.T) {
	p := programtest.Start(t, "--replay", "0")
	client, err := mongo.Connect(options.Client().ApplyURI(p.MongoURI))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(context.Background())
	db := client.Database("statustail")
	ctx := context.Background()
	var many []any // which the embedded database looks through at every load
	for range 1000 {
		many = append(many, bson.M{"page": "other", "title": "T", "created_at": time.Now()})
	}
	if _, err := db.Collection("issues").InsertMany(ctx, many); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		page := fmt.Sprint("p", i)
		if _, err := db.Collection("pages").InsertOne(ctx, bson.M{"_id": page, "name": "P"}); err != nil {
			t.Fatal(err)
		}
		write := func(n int) {
			_, err1 := db.Collection("issues").InsertOne(ctx, bson.M{"page": page, "title": "T", "created_at": time.Now()})
			_, err2 := db.Collection("events").InsertOne(ctx, bson.M{"page": page, "name": "n", "data": bson.M{"n": n}, "created_at": time.Now()})
			if err := errors.Join(err1, err2); err != nil {
				t.Error(err)
			}
		}
		// In memory, read a moment ago and to be read again, before it is
		// streamed.
		answer(t, p.URL+"/"+page+"/state.json")
		write(1)
		write(2)
		write(3)
		<-time.After(time.Duration(i) * 20 * time.Millisecond) // each at another moment of the reload
		events := subscribe(t, p.URL+"/"+page+"/live/v2/status_page")
		await(t, events, "init_event")
		write(4)
		await(t, events, "n")
	}
}

func answer(t *testing.T, url string) {
	t.Helper()
	client := http.Client{Timeout: patience}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, res.Status)
	}
}
