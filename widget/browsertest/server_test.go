package browsertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"statustail/cmd/statustail/programtest/chromium"
	"statustail/widget"
)

// object is JSON as a test writes it.
type object = map[string]any

// A server is what the widget talks to: the files of the product itself, and
// streams that say what a test wants them to.
type server struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	state   object                    // what init_event says
	streams map[chan string]struct{}  // open streams
	mode    func(http.ResponseWriter) // instead of a stream, unless nil
	asked   []*http.Request           // for the streams opened so far
	refused int                       // status of state.json, unless 0
	hosts   map[string]http.HandlerFunc
	seq     int

	opened    atomic.Int64 // streams opened so far
	polled    atomic.Int64 // state.json read so far
	unchanged atomic.Int64 // of them, those answered with 304

	ended chan struct{} // closed when the test ends
}

func newServer(t *testing.T) *server {
	s := &server{t: t, state: calm(), streams: map[chan string]struct{}{}, hosts: map[string]http.HandlerFunc{}, ended: make(chan struct{})}
	files := widget.Handler()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{page}/live/v2/status_page", s.stream)
	mux.HandleFunc("GET /{page}/state.json", s.document)
	mux.HandleFunc("GET /at/site/{name}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		h := s.hosts[r.PathValue("name")]
		s.mu.Unlock()
		if h == nil {
			http.NotFound(w, r)
			return
		}
		h(w, r)
	})
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/widget.js" || strings.HasPrefix(r.URL.Path, "/-/") {
			files.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		close(s.ended)
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// site serves HTML of a customer's site, and returns its address.
func (s *server) site(name, html string, header ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[name] = func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, html)
	}
	return s.URL + "/at/site/" + name
}

func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	s.opened.Add(1)
	s.mu.Lock()
	s.asked = append(s.asked, r)
	mode := s.mode
	s.mu.Unlock()
	if mode != nil {
		mode(w)
		return
	}
	frames := make(chan string, 1000)
	s.mu.Lock()
	frames <- "retry: 300\n\n" + s.frame("init_event", s.state)
	s.streams[frames] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.streams, frames)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for {
		select {
		case frame, ok := <-frames:
			if !ok {
				return
			}
			if _, err := fmt.Fprint(w, frame); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (s *server) document(w http.ResponseWriter, r *http.Request) {
	s.polled.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if s.refused != 0 {
		w.WriteHeader(s.refused)
		return
	}
	b, err := json.Marshal(s.state)
	if err != nil {
		s.t.Error(err)
	}
	tag := fmt.Sprintf(`"%x"`, len(b))
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("If-None-Match") == tag {
		s.unchanged.Add(1)
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(b)
}

// frame is an event as it goes over the wire; s.mu is held.
func (s *server) frame(name string, data object) string {
	b, err := json.Marshal(data)
	if err != nil {
		s.t.Error(err)
	}
	s.seq++
	return fmt.Sprintf("id: %016x\nevent: %s\ndata: %s\n\n", s.seq, name, b)
}

// send sends an event to every open stream.
func (s *server) send(name string, data object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	frame := s.frame(name, data)
	for frames := range s.streams {
		frames <- frame
	}
}

// raw sends bytes to every open stream.
func (s *server) raw(frame string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for frames := range s.streams {
		frames <- frame
	}
}

// is changes what is true, and tells every open stream.
func (s *server) is(state object) {
	s.mu.Lock()
	s.state = state
	s.mu.Unlock()
	s.send("init_event", state)
}

// becomes changes what is true, and tells nobody.
func (s *server) becomes(state object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// answer makes the streams answer otherwise from now on; nil: as they should.
func (s *server) answer(mode func(http.ResponseWriter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = mode
}

// hangUp ends every open stream.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for frames := range s.streams {
		delete(s.streams, frames)
		close(frames)
	}
}

// open is how many streams there are now.
func (s *server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// refuse makes state.json answer with a status, until it is 0 again.
func (s *server) refuse(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = status
}

// newest is the newest request for a stream.
func (s *server) newest() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == 0 {
		s.t.Fatal("no stream was asked for")
	}
	return s.asked[len(s.asked)-1]
}

// resumedFrom is the position that the newest stream was asked for from.
func (s *server) resumedFrom() string {
	r := s.newest()
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return r.URL.Query().Get("last_event_id")
}

// await waits for something to become true on the server.
func (s *server) await(what string, true func() bool) {
	s.t.Helper()
	deadline := time.After(chromium.Patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !true() {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("after %v: not %s", chromium.Patience, what)
		}
	}
}

func component(id, name, state string) object {
	return object{"id": id, "name": name, "description": nil, "group": nil, "state": state}
}

// calm is a page on which all is well.
func calm() object {
	return object{
		"state":                "operational",
		"percent_uptime":       99.987,
		"incident_free_streak": 1036800,
		"incident_free_since":  time.Now().Add(-12 * 24 * time.Hour).Unix(),
		"page":                 object{"id": "demo", "name": "Acme Cloud", "url": "https://acme.example", "locale": "en"},
		"components": []object{
			component("c1", "API", "operational"),
			component("c2", "Website", "operational"),
			component("c3", "Webhooks", "operational"),
		},
		"issues":        []object{},
		"ping_interval": 60,
		"live":          true,
	}
}

// with is a copy of a state with some of its fields replaced.
func with(state, fields object) object {
	state = maps.Clone(state)
	maps.Copy(state, fields)
	return state
}

// issue is a standing incident.
func issue(id, title string) object {
	now := time.Now().Unix()
	return object{
		"id": id, "title": title, "label": "Investigating", "kind": "incident", "state": "degraded",
		"body": "<p>HTML</p>", "body_text": "We are looking into it.",
		"progress": nil, "standing": true, "scheduled": false, "created_at": now - 2000,
		"starts_at": nil, "ends_at": nil, "components": []object{component("c1", "API", "degraded")}, "updates": []object{},
	}
}

// troubled is a page with one of everything.
func troubled() object {
	now := time.Now().Unix()
	incident := issue("i1", "Elevated error rates on the API")
	incident["updates"] = []object{{
		"id": "u1", "issue_id": "i1", "label": "Identified", "state": nil, "created_at": now - 540, "body": "<p>x</p>",
		"body_text": "A bad deploy of the gateway is being rolled back. About one request in twenty fails until it is done.",
	}}
	restore := issue("i2", "Restoring search index")
	restore["components"] = []object{component("c4", "Search", "partial_outage")}
	restore["state"], restore["progress"], restore["label"] = "partial_outage", 64, "Monitoring"
	restore["body_text"] = "Search answers from yesterday’s index until the new one is complete."
	planned := issue("i3", "Database upgrade")
	maps.Copy(planned, object{
		"kind": "maintenance", "standing": false, "scheduled": true, "label": "Scheduled", "state": nil,
		"starts_at": now + 20*3600, "ends_at": now + 22*3600, "body_text": "Writes pause for about two minutes.",
		"components": []object{component("c1", "API", "degraded"), component("c2", "Website", "operational")},
	})
	return with(calm(), object{
		"state": "outage", "incident_free_streak": 0, "incident_free_since": nil, "percent_uptime": 99.912,
		"components": []object{
			component("c1", "API", "degraded"), component("c2", "Website", "operational"),
			component("c3", "Webhooks", "operational"), component("c4", "Search", "partial_outage"),
		},
		"issues": slices.Clone([]object{incident, restore, planned}),
	})
}
