package widget

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
)

// How long browsers and proxies may keep an answer.
const (
	// A new version of the server reaches every site within minutes, and a
	// site never waits for the check.
	cacheShort = "public, max-age=300, stale-while-revalidate=86400"
	// What a hashed name stands for never changes.
	cacheForever = "public, max-age=31536000, immutable"
	cacheNever   = "no-store"
)

// A file is something to be served, ready in both forms that browsers take, or
// plain only: what is made for one request is not worth compressing.
type file struct {
	contentType string
	plain       []byte
	gzipped     []byte
	tag         string // what entity tags are made of
}

func newFile(contentType string, plain []byte) file {
	f := plainFile(contentType, plain)
	f.gzipped = compress(plain)
	return f
}

func plainFile(contentType string, plain []byte) file {
	sum := sha256.Sum256(plain)
	return file{contentType: contentType, plain: plain, tag: hex.EncodeToString(sum[:8])}
}

func compress(plain []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err) // only for an invalid level: the buffer takes everything
	}
	return b.Bytes()
}

// serve answers with the file to whoever asks: it may be loaded by any site.
func (f file) serve(w http.ResponseWriter, r *http.Request, cache string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	f.serveHere(w, r, cache)
}

// serveHere answers with the file to our own pages.
func (f file) serveHere(w http.ResponseWriter, r *http.Request, cache string) {
	body, tag := f.plain, `"`+f.tag+`"`
	h := w.Header()
	if f.gzipped != nil && acceptsGzip(r) {
		body, tag = f.gzipped, `"`+f.tag+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Type", f.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", cache)
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", tag)
	if matches(r.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Type")
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a reader who left is no concern of ours
	}
}

// acceptsGzip reads Accept-Encoding as far as it matters: gzip or everything
// is named, and not refused.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, parameter, _ := strings.Cut(part, ";")
		if name = strings.TrimSpace(name); !strings.EqualFold(name, "gzip") && name != "*" {
			continue
		}
		weight, found := strings.CutPrefix(strings.ReplaceAll(parameter, " ", ""), "q=")
		if !found {
			return true
		}
		q, err := strconv.ParseFloat(weight, 64)
		return err == nil && q > 0
	}
	return false
}

// matches compares an If-None-Match with an entity tag, weakly, as its
// definition (RFC 9110) wants.
func matches(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if part == tag || part == "*" {
			return true
		}
	}
	return false
}
