//go:build !race

package convergence

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/cmd/statustail/programtest"
	"statustail/stream/mongotest"
)

// patience is how long anything may take before a test gives up.
const patience = 60 * time.Second

// A reader reads a stream by hand, event by event.
type reader struct {
	t      *testing.T
	events chan sseEvent
	cancel context.CancelFunc
	id     string
}

type sseEvent struct {
	name, id string
	data     map[string]any
	raw      string
}

func read(t *testing.T, url, lastID string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, res.Status)
	}
	r := &reader{t: t, events: make(chan sseEvent, 10_000), cancel: cancel}
	go func() {
		defer close(r.events)
		defer res.Body.Close()
		var e sseEvent
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "event":
				e.name = value
			case "id":
				e.id = value
			case "data":
				e.raw = value
				json.Unmarshal([]byte(value), &e.data)
			case "":
				if e.name != "" {
					r.events <- e
				}
				e = sseEvent{}
			}
		}
	}()
	return r
}

// await gives the next event that fits, and the names of those before it.
func (r *reader) await(what string, fits func(sseEvent) bool) (e sseEvent, before []string) {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e, ok := <-r.events:
			if !ok {
				r.t.Fatalf("the stream ended before %s; it had %v", what, before)
			}
			if e.id != "" {
				r.id = e.id
			}
			if fits(e) {
				return e, before
			}
			before = append(before, e.name+" "+e.raw[:min(40, len(e.raw))])
		case <-timeout:
			r.t.Fatalf("no %s came; what came: %v", what, before)
		}
	}
}

func named(name string) func(sseEvent) bool { return func(e sseEvent) bool { return e.name == name } }

func (b *bench) publish(t *testing.T, n int) {
	t.Helper()
	_, err := b.db.Collection("events").InsertOne(context.Background(),
		bson.M{"page": "p0", "name": message, "data": n, "created_at": time.Now()})
	if err != nil {
		t.Fatal(err)
	}
}

func isMessage(n int) func(sseEvent) bool {
	return func(e sseEvent) bool { return e.name == message && e.raw == fmt.Sprint(n) }
}

// Any server can take over from any other, and from itself before a restart:
// ids mean the same everywhere.
func TestAnyServerTakesOver(t *testing.T) {
	b := startBench(t)
	other := programtest.Start(t, "--mongodb-uri", b.proxy.URI(), "--source", "changestream")
	const stream = "/p0/live/v2/status_page"

	first := read(t, b.server.URL+stream, "")
	first.await("init_event", named("init_event"))
	b.publish(t, 1)
	first.await("message 1", isMessage(1))
	first.cancel()
	b.publish(t, 2)
	b.publish(t, 3)

	recovered := func(r *reader) {
		t.Helper()
		e, before := r.await("init_event", named("init_event"))
		if got := strings.Join(before, ","); !strings.HasSuffix(got, "count 2,count 3") {
			t.Errorf("replayed: %s", got)
		}
		if e.data["recovered"] != true {
			t.Errorf("recovered: %v", e.data["recovered"])
		}
	}
	recovered(read(t, other.URL+stream, first.id))

	b.server.Kill()
	b.server.Restart()
	again := read(t, b.server.URL+stream, first.id)
	recovered(again)
	b.publish(t, 4)
	if _, before := again.await("message 4", isMessage(4)); strings.Contains(strings.Join(before, ","), "count") {
		t.Errorf("history was published as new: %v", before)
	}

	// A hole is told of, and not hidden.
	b.proxy.LoseHistory()
	again.await("word of the hole", func(e sseEvent) bool { return e.name == "init_event" && e.data["recovered"] == false })
	b.publish(t, 5)
	again.await("message 5", isMessage(5))
	e, _ := read(t, b.server.URL+stream, first.id).await("init_event", named("init_event"))
	if e.data["recovered"] != false {
		t.Errorf("after history was lost, recovered: %v", e.data["recovered"])
	}
}

// While the database is away, what is known is served, and marked.
func TestDatabaseAway(t *testing.T) {
	b := startBench(t)
	p := programtest.Start(t, "--mongodb-uri", b.proxy.URI(), "--source", "changestream", "--ping", "1s")
	if _, err := b.db.Collection("pages").InsertOne(context.Background(), bson.M{"_id": "unseen", "name": "U"}); err != nil {
		t.Fatal(err)
	}
	stays := read(t, p.URL+"/p0/live/v2/status_page", "")
	if e, _ := stays.await("init_event", named("init_event")); e.data["live"] != true {
		t.Errorf("live: %v", e.data["live"])
	}
	b.proxy.Down()
	stale, _ := stays.await("a stale ping", func(e sseEvent) bool { return e.name == "ping_event" && e.data["live"] == false })
	if since, _ := stale.data["stale_since"].(float64); since == 0 {
		t.Errorf("stale_since: %v", stale.data["stale_since"])
	}
	e, _ := read(t, p.URL+"/p0/live/v2/status_page", "").await("init_event", named("init_event"))
	if e.data["live"] != false || e.data["stale_since"] == nil {
		t.Errorf("a new subscriber is told %v", e.raw)
	}
	ready := get(t, p.OpsURL+"/readyz", 200)
	if !strings.Contains(ready, `"degraded"`) || !strings.Contains(ready, `"reason"`) {
		t.Errorf("readyz: %s", ready)
	}
	// A page that is not in memory: held, not refused.
	parked, err := http.Get(p.URL + "/unseen/live/v2/status_page")
	if err != nil {
		t.Fatal(err)
	}
	defer parked.Body.Close()
	if line, _ := bufio.NewReader(parked.Body).ReadString('\n'); parked.StatusCode != 200 || !strings.HasPrefix(line, "retry: ") {
		t.Errorf("page not in memory: %d %q", parked.StatusCode, line)
	}
	get(t, p.URL+"/unseen/state.json", 503)

	if err := b.proxy.Up(); err != nil {
		t.Fatal(err)
	}
	stays.await("a live ping", func(e sseEvent) bool { return e.name == "ping_event" && e.data["live"] == true })
	b.publish(t, 1)
	stays.await("a message after the outage", isMessage(1))
	get(t, p.URL+"/unseen/state.json", 200)
}

func get(t *testing.T, url string, want int) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		t.Errorf("GET %s: %d %v, want %d", url, res.StatusCode, err, want)
	}
	return string(body)
}

// Every reload is a majority read in a session that has seen what it answers.
func TestReadsNeverGoBack(t *testing.T) {
	b := startBench(t)
	r := read(t, b.server.URL+"/p0/live/v2/status_page", "")
	r.await("init_event", named("init_event"))
	b.proxy.Forget()
	_, err := b.db.Collection("components").UpdateOne(context.Background(), bson.M{"_id": "c"}, bson.M{"$set": bson.M{"state": "outage"}})
	if err != nil {
		t.Fatal(err)
	}
	changed := b.proxy.ClusterTime()
	e, _ := r.await("status_created", named("degraded"))
	if e.id < fmt.Sprintf("%08x%08x", changed.T, changed.I) {
		t.Errorf("id %s, before the change at %v", e.id, changed)
	}
	finds := 0
	for _, c := range b.proxy.Commands() {
		if c.Name != "find" {
			continue
		}
		finds++
		concern := c.Body.Lookup("readConcern")
		if level, _ := concern.Document().Lookup("level").StringValueOK(); level != "majority" {
			t.Errorf("a find with read concern %v", concern)
		}
		at, inc, ok := concern.Document().Lookup("afterClusterTime").TimestampOK()
		if !ok || at < changed.T || at == changed.T && inc < changed.I {
			t.Errorf("a find after %d,%d, want after %v", at, inc, changed)
		}
	}
	if finds == 0 {
		t.Error("no find was seen")
	}
}

func TestSourceIsCheckedAtOnce(t *testing.T) {
	proxy := mongotest.StartWith(t, mongotest.Config{Standalone: true})
	code, said := programtest.Fails(t, "--mongodb-uri", proxy.URI(), "--source", "changestream")
	if code != 1 || !strings.Contains(said, "no change streams") {
		t.Errorf("exit status %d:\n%s", code, said)
	}
}

// Without the privilege the server says which one it lacks, and goes on when
// it is granted.
func TestMissingPrivilege(t *testing.T) {
	proxy := mongotest.Start(t)
	proxy.Deny("changeStream")
	p := programtest.Start(t, "--mongodb-uri", proxy.URI())
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(patience); !strings.Contains(p.Log(), "changeStream"); {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("the log does not name the privilege:\n%s", p.Log())
		}
	}
	get(t, p.OpsURL+"/readyz", 503)
	proxy.Deny("")
	for timeout := time.After(patience); ; {
		res, err := http.Get(p.OpsURL + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == 200 {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("not ready after the privilege was granted:\n%s", p.Log())
		}
	}
}
