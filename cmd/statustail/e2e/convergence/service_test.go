//go:build !race

package convergence

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/cmd/statustail/programtest"
	"statustail/internal/mongotest"
	"statustail/stream/hund/hundtest"
)

// patience is how long anything may take before a test gives up.
const patience = 60 * time.Second

func (b *bench) publish(t *testing.T, n int) {
	t.Helper()
	_, err := b.db.Collection("events").InsertOne(context.Background(),
		bson.M{"page": "p0", "name": message, "data": n, "created_at": time.Now()})
	if err != nil {
		t.Fatal(err)
	}
}

func isMessage(n int) func(hundtest.Event) bool {
	return func(e hundtest.Event) bool { return e.Name == message && e.Data == fmt.Sprint(n) }
}

// told is what an event says.
func told(t *testing.T, e hundtest.Event) (data map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.Data), &data); err != nil {
		t.Fatalf("%s: %v", e.Name, err)
	}
	return data
}

// messages are the numbers among events.
func messages(events []hundtest.Event) (numbers []string) {
	for _, e := range events {
		if e.Name == message {
			numbers = append(numbers, e.Data)
		}
	}
	return numbers
}

// Any server can take over from any other, and from itself before a restart:
// ids mean the same everywhere.
func TestAnyServerTakesOver(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	other := programtest.Start(t, "--mongodb-uri", b.proxy.URI(), "--source", "changestream")
	const stream = "/p0/live/v2/status_page"

	first := hundtest.Open(t, b.server.URL+stream)
	first.Next("init_event")
	b.publish(t, 1)
	first.Await("message 1", isMessage(1))
	first.Close()
	b.publish(t, 2)
	b.publish(t, 3)

	recovered := func(r *hundtest.Reader) {
		t.Helper()
		e, before := r.Await("init_event", func(e hundtest.Event) bool { return e.Name == "init_event" })
		if len(messages(before)) > 0 || told(t, e)["recovered"] != true || e.ID != first.LastID {
			t.Errorf("begins with %v, %s %s", messages(before), e.ID, e.Data)
		}
		_, missed := r.Await("message 3", isMessage(3))
		if got := messages(missed); !slices.Equal(got, []string{"2"}) {
			t.Errorf("missed before 3: %v, want 2 and nothing else", got)
		}
	}
	recovered(hundtest.Open(t, other.URL+stream, "Last-Event-ID", first.LastID))

	b.server.Kill()
	b.server.Restart()
	again := hundtest.Open(t, b.server.URL+stream, "Last-Event-ID", first.LastID)
	recovered(again)
	b.publish(t, 4)
	if _, before := again.Await("message 4", isMessage(4)); len(messages(before)) > 0 {
		t.Errorf("history was published as new: %v", before)
	}

	// A hole is told of, and not hidden.
	b.proxy.LoseHistory()
	hole := func(e hundtest.Event) bool { return e.Name == "init_event" && told(t, e)["recovered"] == false }
	again.Await("word of the hole", hole)
	b.publish(t, 5)
	again.Await("message 5", isMessage(5))
	late := hundtest.Open(t, b.server.URL+stream, "Last-Event-ID", first.LastID)
	if e := late.Next("init_event"); !hole(e) {
		t.Errorf("after history was lost: %s", e.Data)
	}
}

// While the database is away, what is known is served, and marked.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	p := programtest.Start(t, "--mongodb-uri", b.proxy.URI(), "--source", "changestream", "--ping", "1s")
	if _, err := b.db.Collection("pages").InsertOne(context.Background(), bson.M{"_id": "unseen", "name": "U"}); err != nil {
		t.Fatal(err)
	}
	stays := hundtest.Open(t, p.URL+"/p0/live/v2/status_page")
	if e := stays.Next("init_event"); told(t, e)["live"] != true {
		t.Errorf("not live: %s", e.Data)
	}
	b.proxy.Down()
	ping := func(live bool) func(hundtest.Event) bool {
		return func(e hundtest.Event) bool { return e.Name == "ping_event" && told(t, e)["live"] == live }
	}
	stale, _ := stays.Await("a stale ping", ping(false))
	if since, _ := told(t, stale)["stale_since"].(float64); since == 0 {
		t.Errorf("stale_since: %s", stale.Data)
	}
	e := hundtest.Open(t, p.URL+"/p0/live/v2/status_page").Next("init_event")
	if d := told(t, e); d["live"] != false || d["stale_since"] == nil {
		t.Errorf("a new subscriber is told %s", e.Data)
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
	stays.Await("a live ping", ping(true))
	b.publish(t, 1)
	stays.Await("a message after the outage", isMessage(1))
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
	t.Parallel()
	b := startBench(t)
	r := hundtest.Open(t, b.server.URL+"/p0/live/v2/status_page")
	r.Next("init_event")
	b.proxy.Forget()
	_, err := b.db.Collection("components").UpdateOne(context.Background(), bson.M{"_id": "c"}, bson.M{"$set": bson.M{"state": "outage"}})
	if err != nil {
		t.Fatal(err)
	}
	changed := b.proxy.ClusterTime()
	r.Next("degraded")
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
	t.Parallel()
	proxy := mongotest.StartWith(t, mongotest.Config{Standalone: true})
	code, said := programtest.Fails(t, "--mongodb-uri", proxy.URI(), "--source", "changestream")
	if code != 1 || !strings.Contains(said, "no change streams") {
		t.Errorf("exit status %d:\n%s", code, said)
	}
}

// Without the privilege the server says which one it lacks, and goes on when
// it is granted.
func TestMissingPrivilege(t *testing.T) {
	t.Parallel()
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

// What was said on a page is not for the readers of the page that has its slug
// next, whether it was watched or not.
func TestPastGoesWithThePage(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	ctx := context.Background()
	const stream = "/p0/live/v2/status_page"
	first := hundtest.Open(t, b.server.URL+stream)
	start := first.Next("init_event").ID
	first.Close()
	b.publish(t, 1)
	pages := b.db.Collection("pages")
	if _, err := pages.DeleteOne(ctx, bson.M{"_id": "p0"}); err != nil {
		t.Fatal(err)
	}
	if _, err := pages.InsertOne(ctx, bson.M{"_id": "p0", "name": "Another"}); err != nil {
		t.Fatal(err)
	}
	b.publish(t, 2)
	next := hundtest.Open(t, b.server.URL+stream)
	next.Next("init_event")
	if b.publish(t, 3); len(next.LastID) == 0 {
		t.Error("no id")
	}
	next.Await("message 3", isMessage(3))

	late := hundtest.Open(t, b.server.URL+stream, "Last-Event-ID", start)
	if e := late.Next("init_event"); told(t, e)["recovered"] != false {
		t.Errorf("from before the page: %s", e.Data)
	}
	if _, before := late.Await("message 3", isMessage(3)); !slices.Equal(messages(before), []string{"2"}) {
		t.Errorf("from before the page: messages %v", messages(before))
	}

	// What was said while it was private is not for the public either; an
	// update of anything else leaves the past as it is.
	set := func(field string, value any) {
		if _, err := pages.UpdateByID(ctx, "p0", bson.M{"$set": bson.M{field: value}}); err != nil {
			t.Fatal(err)
		}
	}
	set("private", true)
	b.publish(t, 4)
	set("private", false)
	b.publish(t, 5)
	set("name", "Public")
	public := func(id string) (recovered any, got []string) {
		r := hundtest.Open(t, b.server.URL+stream, "Last-Event-ID", id)
		e := r.Next("init_event")
		_, before := r.Await("message 5", isMessage(5))
		return told(t, e)["recovered"], messages(before)
	}
	eventually(t, "the page is public", func() bool {
		res, err := http.Get(b.server.URL + "/p0/state.json")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var state struct{ Page struct{ Name string } }
		return json.NewDecoder(res.Body).Decode(&state) == nil && state.Page.Name == "Public"
	})
	if recovered, got := public(next.LastID); recovered != false || len(got) > 0 {
		t.Errorf("from before it was private: recovered %v, messages %v", recovered, got)
	}
}

// eventually waits for what the server alone knows.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(patience); !is(); {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("after %v: not %s", patience, what)
		}
	}
}

// A reader that moves from server to server while nothing of its page's happens
// is not told that something may be missing: the tails are never far apart.
func TestMovingOnAQuietPage(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	other := programtest.Start(t, "--mongodb-uri", b.proxy.URI(), "--source", "changestream")
	ctx, stop := context.WithCancel(context.Background())
	written := make(chan struct{})
	go func() { // elsewhere in the database, so that time goes on
		defer close(written)
		for i := 0; ctx.Err() == nil; i++ {
			_, _ = b.db.Collection("elsewhere").UpdateOne(ctx, bson.M{"_id": "x"}, bson.M{"$set": bson.M{"n": i}}, upsert)
		}
	}()
	defer func() { stop(); <-written }()
	id, positions := "", map[string]bool{}
	timeout := time.After(patience)
	for i := 0; len(positions) < 3; i++ {
		select {
		case <-timeout:
			t.Fatalf("time does not go on: %v", positions)
		default:
		}
		server := []*programtest.Program{b.server, other}[i%2]
		var headers []string
		if id != "" {
			headers = []string{"Last-Event-ID", id}
		}
		e := hundtest.Open(t, server.URL+"/p0/live/v2/status_page", headers...).Next("init_event")
		if recovered, ok := told(t, e)["recovered"].(bool); ok && !recovered {
			t.Errorf("move %d with id %s: %s", i, id, e.Data)
		}
		// What a fresh connection is given is as new as this server knows.
		id = hundtest.Open(t, server.URL+"/p0/live/v2/status_page").Next("init_event").ID
		positions[id] = true
	}
}
