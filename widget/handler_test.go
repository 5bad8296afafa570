package widget

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gin-gonic/gin"
)

// newServer mounts the handler as the product does.
func newServer(t *testing.T) *httptest.Server {
	gin.SetMode(gin.TestMode)
	engine := gin.New()
	for _, route := range Routes() {
		engine.GET(route, gin.WrapH(Handler()))
		engine.HEAD(route, gin.WrapH(Handler()))
	}
	engine.GET("/:page", func(c *gin.Context) { c.String(http.StatusTeapot, "a page") })
	s := httptest.NewServer(engine)
	t.Cleanup(s.Close)
	return s
}

// get reads an answer as it came over the wire.
func get(t *testing.T, url string, header ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, body
}

func TestScript(t *testing.T) {
	s := newServer(t)
	for path, cache := range map[string]string{
		"/widget.js":             cacheShort,
		Path():                   cacheForever,
		"/-/widget/lang/en.json": cacheShort,
	} {
		res, plain := get(t, s.URL+path)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", path, res.Status)
		}
		for name, want := range map[string]string{
			"Cache-Control":                cache,
			"Access-Control-Allow-Origin":  "*",
			"Cross-Origin-Resource-Policy": "cross-origin",
			"X-Content-Type-Options":       "nosniff",
			"Vary":                         "Accept-Encoding",
			"Content-Encoding":             "",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		zipped, body := get(t, s.URL+path, "Accept-Encoding", "br, gzip")
		if zipped.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: not gzipped for one who takes gzip", path)
		}
		unzip, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if unzipped, err := io.ReadAll(unzip); err != nil || !bytes.Equal(unzipped, plain) {
			t.Errorf("%s: the gzipped form is another: %v", path, err)
		}
		if zipped.Header.Get("ETag") == res.Header.Get("ETag") {
			t.Errorf("%s: both forms have one entity tag", path)
		}
		for _, tag := range []string{res.Header.Get("ETag"), "W/" + res.Header.Get("ETag"), `"x", ` + res.Header.Get("ETag"), "*"} {
			if res, body := get(t, s.URL+path, "If-None-Match", tag); res.StatusCode != http.StatusNotModified || len(body) > 0 {
				t.Errorf("%s: If-None-Match %s: %s", path, tag, res.Status)
			}
		}
		if res, _ := get(t, s.URL+path, "If-None-Match", `"other"`); res.StatusCode != http.StatusOK {
			t.Errorf("%s: If-None-Match of another: %s", path, res.Status)
		}
	}
}

func TestReleasedBuildsStay(t *testing.T) {
	all := readBuilds(fstest.MapFS{
		"dist/widget.js":       {Data: []byte("new")},
		"dist/released/1.0.js": {Data: []byte("old")},
		"dist/released/1.1.js": {Data: []byte("new")}, // the current one may be released, too
		"dist/released/README": {Data: []byte("no build")},
	})
	if len(all) != 2 {
		t.Errorf("%d builds, want 2", len(all))
	}
	for _, plain := range []string{"new", "old"} {
		if b, ok := all[newBuild([]byte(plain)).path]; !ok || string(b.plain) != plain {
			t.Errorf("the build %q is not served", plain)
		}
	}
}

func TestHead(t *testing.T) {
	s := newServer(t)
	res, err := http.Head(s.URL + "/widget.js")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || len(body) > 0 || res.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %s, %d bytes, %v", res.Status, len(body), err)
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0, br": false,
		"*": true, "identity": false, "xgzip": false, "gzip;q=x": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", header)
		if got := acceptsGzip(r); got != want {
			t.Errorf("Accept-Encoding %q: %v, want %v", header, got, want)
		}
	}
}

func TestIntegrityAdmitsTheScript(t *testing.T) {
	s := newServer(t)
	_, body := get(t, s.URL+Path())
	sum := sha512.Sum384(body)
	if want := "sha384-" + base64.StdEncoding.EncodeToString(sum[:]); Integrity() != want {
		t.Errorf("integrity %s, want %s", Integrity(), want)
	}
	if tag := PinnedTag("https://h", "demo"); !strings.Contains(tag, Integrity()) || !strings.Contains(tag, `src="https://h`+Path()) ||
		!strings.Contains(tag, "crossorigin") {
		t.Errorf("pinned tag: %s", tag)
	}
}

func TestTagEscapes(t *testing.T) {
	if tag := Tag(`https://h"><script>`, `p"x`); strings.Count(tag, "<script") != 1 || strings.Contains(tag, `"x`) {
		t.Errorf("tag lets markup through: %s", tag)
	}
}

func TestUnknownFiles(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{
		"/-/widget/0123456789abcdef.js", "/-/widget/", "/-/widget/lang/xx.json",
		"/-/demo/layout.html", "/-/demo/nothing", "/-/demo/embed", "/-/demo/none.js", "/-/demo/..%2fdemo.go", "/-/demo/layout",
	} {
		if res, _ := get(t, s.URL+path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, res.Status)
		}
	}
	if res, _ := get(t, s.URL+"/demo"); res.StatusCode != http.StatusTeapot {
		t.Errorf("the routes hide a status page: %s", res.Status)
	}
}

func TestPages(t *testing.T) {
	s := newServer(t)
	paths := []string{"/-/demo/", "/-/embed"}
	for _, name := range Demos() {
		paths = append(paths, "/-/demo/"+name)
	}
	for _, path := range paths {
		res, body := get(t, s.URL+path+"?page=acme")
		if res.StatusCode != http.StatusOK || !bytes.Contains(body, []byte("acme")) {
			t.Errorf("%s: %s, or not for the page asked for", path, res.Status)
		}
		csp := res.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if inline := regexp.MustCompile(`(?i)<script(\s[^>]*)?>[^<]|<style| style=|\son[a-z]+=`).Find(body); inline != nil {
			t.Errorf("%s: its policy forbids %q", path, inline)
		}
		_, body = get(t, s.URL+path+`?page="><script>alert(1)</script>`)
		if bytes.Contains(body, []byte("alert")) || !bytes.Contains(body, []byte("demo")) {
			t.Errorf("%s: shows a page name that is none", path)
		}
	}
	_, body := get(t, s.URL+"/-/embed", "X-Forwarded-Proto", "https")
	if !bytes.Contains(body, []byte("&lt;script async src=&#34;https://")) {
		t.Errorf("the tag of a server behind TLS: %s", body)
	}
}

// What strangers can ask for in any number is not compressed for each of them.
func TestPagesMadeForARequestAreNotCompressed(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/-/embed?page=demo", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
