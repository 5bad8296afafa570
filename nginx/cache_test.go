package nginx

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const shop = "https://shop.example"

// stateIn asks nginx for a page's state as a script of the shop does.
func stateIn(t testing.TB, p *proxy, query string, headers ...string) *http.Response {
	t.Helper()
	res, _ := get(t, "http://"+p.addr+"/demo/state.json"+query, append([]string{"Origin", shop}, headers...)...)
	return res
}

// An origin that leaves the page's list, and a page that turns private, have
// done so behind nginx, too, within 2 s: whatever the server lets caches do,
// and however many ask meanwhile.
func TestOriginsAndPrivacyTakeEffect(t *testing.T) {
	var listed, private atomic.Bool
	listed.Store(true)
	p := startNginx(t, &site{upstream: backend(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Vary", "Origin")
		if listed.Load() {
			h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		}
		if private.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.Set("Cache-Control", "public, max-age=2, stale-while-revalidate=30")
		h.Set("ETag", `"the same"`)
		if r.Header.Get("If-None-Match") == `"the same"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write([]byte(`{}`))
	})})
	if res := stateIn(t, p, ""); res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") != shop {
		t.Fatalf("%s %v", res.Status, res.Header)
	}
	// Others keep asking, below nginx's own limit, so that what is old is
	// renewed all the time.
	stop := make(chan struct{})
	var crowd sync.WaitGroup
	for range 4 {
		crowd.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(30 * time.Millisecond):
					stateIn(t, p, "")
				}
			}
		})
	}
	defer crowd.Wait()
	defer close(stop)
	// What is asked after the time is right however late it is asked.
	inTime := func() { <-time.After(2 * time.Second) }
	listed.Store(false)
	inTime()
	if origin := stateIn(t, p, "").Header.Get("Access-Control-Allow-Origin"); origin != "" {
		t.Errorf("2 s after it left the list, %s may read the state", origin)
	}
	private.Store(true)
	inTime()
	for range 20 {
		if res := stateIn(t, p, ""); res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("2 s after it turned private, the page is served: %s", res.Status)
		}
	}
}

// The same with statustail itself, from the moment that it knows.
func TestPrivatePageBehindNginx(t *testing.T) {
	s := startServer(t)
	s.CLI("page", "put", "demo", "--name", "Demo", "--origin", shop)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket)})
	direct := func() *http.Response {
		res, _ := get(t, s.URL+"/demo/state.json", "Origin", shop)
		return res
	}
	eventually(t, "the origin is not listed", 20*time.Second, func() bool {
		return direct().Header.Get("Access-Control-Allow-Origin") == shop
	})
	<-time.After(time.Second)
	if res := stateIn(t, p, ""); res.Header.Get("Access-Control-Allow-Origin") != shop {
		t.Fatalf("%s %v", res.Status, res.Header)
	}
	s.CLI("page", "put", "demo", "--name", "Demo", "--origin", "https://other.example")
	eventually(t, "the origin is listed", 20*time.Second, func() bool {
		return direct().Header.Get("Access-Control-Allow-Origin") == ""
	})
	<-time.After(time.Second)
	if origin := stateIn(t, p, "").Header.Get("Access-Control-Allow-Origin"); origin != "" {
		t.Errorf("%s may still read the state", origin)
	}
	s.CLI("page", "put", "demo", "--name", "Demo", "--private")
	eventually(t, "the page is not private", 20*time.Second, func() bool { return direct().StatusCode == http.StatusUnauthorized })
	<-time.After(time.Second)
	if res := stateIn(t, p, ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the page is served: %s", res.Status)
	}
}

// A crowd is absorbed: however many ask at once, the server is asked once in
// a second, and few of them wait long. What comes with a token is answered by
// the server, and to nobody else.
func TestStateIsAskedForOnceASecond(t *testing.T) {
	var asked atomic.Int32
	p := startNginx(t, &site{upstream: backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=2")
		if token := r.URL.Query().Get("bt") + r.URL.Query().Get("token") + r.Header.Get("Authorization"); token != "" {
			w.Header().Set("Seen-By", token)
			return
		}
		asked.Add(1)
	})})
	begun := time.Now()
	const n = 400
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range n / 20 {
				stateIn(t, p, "")
			}
		})
	}
	all.Wait()
	seconds := int32(time.Since(begun)/time.Second) + 2
	if got := asked.Load(); got > 2*seconds {
		t.Errorf("the server was asked %d times in %d s, for %d requests", got, seconds, n)
	}
	for _, query := range []string{"?bt=s3cret", "?token=s3cret", "?%62t=s3cret", ""} {
		var headers []string
		if query == "" {
			headers = []string{"Authorization", "s3cret"}
		}
		if res := stateIn(t, p, query, headers...); !strings.Contains(res.Header.Get("Seen-By"), "s3cret") {
			t.Errorf("%s: the answer comes from the cache", query)
		}
		if res := stateIn(t, p, ""); res.Header.Get("Seen-By") != "" {
			t.Errorf("%s: a stranger gets what the token opens", query)
		}
	}
}
