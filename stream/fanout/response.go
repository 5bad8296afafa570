package fanout

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"statustail/stream/change"
)

// Everything that a response begins or ends with is made here.

// setHeaders sets what belongs to every stream.
func setHeaders(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache, no-store, no-transform")
	}
	h.Set("X-Accel-Buffering", "no")
	h.Del("Content-Length")
}

// head is the response's head on a connection taken from net/http. The body
// ends with the connection: that needs no chunks, which every frame would pay
// for, and suits HTTP/1.0 as well as 1.1.
func head(header http.Header) []byte {
	setHeaders(header)
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	header.Set("Connection", "close")
	header.Del("Transfer-Encoding")
	if header.Get("Date") == "" {
		header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	_ = header.Write(&b) // sanitises; a Buffer does not fail
	b.WriteString("\r\n")
	return b.Bytes()
}

// begin answers through net/http.
func begin(w http.ResponseWriter) {
	setHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
}

// retry is the line that sets the client's reconnection delay to a time
// between the two. Clients take it as soon as it has come. It has no block of
// its own, which many of them would deliver as an empty message: it stands in
// front of the first event, or at the end of the stream.
func retry(from, to time.Duration) []byte {
	b := append([]byte(nil), "retry: "...)
	b = strconv.AppendInt(b, between(from, to).Milliseconds(), 10)
	return append(b, '\n')
}

// retry tells a subscriber when to come back.
func (c *Config) retry() []byte { return retry(c.RetryMin, c.RetryMax) }

// appendID appends the id: line that goes before the other lines of a frame,
// or nothing for an unknown position.
func appendID(b []byte, id change.EventID) []byte {
	if id.At == 0 {
		return b
	}
	b = append(b, "id: "...)
	b = append(b, id.String()...)
	return append(b, '\n')
}
