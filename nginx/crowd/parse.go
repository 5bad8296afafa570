package crowd

import (
	"bytes"
	"errors"
	"strconv"
	"time"
)

// An Event is one event of a stream.
type Event struct {
	Name string
	Data []byte // valid until the callback returns
	ID   string
}

// A reader takes a response apart as its bytes come: the head, the chunks if
// there are any, and the events in them.
type reader struct {
	status  int // 0 until the head is complete
	chunked bool
	pending []byte // the head so far, then the line of the stream so far

	left     int  // bytes left of the current chunk
	size     bool // reading a chunk's size line
	sizeLine []byte

	name  string
	data  []byte
	id    string // as EventSource keeps it, across connections
	retry time.Duration
}

var errResponse = errors.New("crowd: not an HTTP response")

// again makes the reader ready for the next connection.
func (r *reader) again() {
	*r = reader{id: r.id, retry: r.retry}
}

// read takes what has come. It returns true when the body has ended.
func (r *reader) read(b []byte, event func(Event)) (end bool, err error) {
	if r.status == 0 {
		r.pending = append(r.pending, b...)
		i := bytes.Index(r.pending, []byte("\r\n\r\n"))
		if i < 0 {
			if len(r.pending) > 64<<10 {
				return false, errResponse
			}
			return false, nil
		}
		if err := r.readHead(r.pending[:i]); err != nil {
			return false, err
		}
		b = bytes.Clone(r.pending[i+4:])
		r.pending = nil
	}
	if r.status != 200 {
		return false, nil
	}
	if !r.chunked {
		r.body(b, event)
		return false, nil
	}
	for len(b) > 0 {
		if r.size {
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				r.sizeLine = append(r.sizeLine, b...)
				return false, nil
			}
			line := bytes.TrimSpace(append(r.sizeLine, b[:i]...))
			b = b[i+1:]
			r.sizeLine = r.sizeLine[:0]
			if len(line) == 0 {
				continue // the end of the chunk before
			}
			n, err := strconv.ParseInt(string(line), 16, 32)
			if err != nil {
				return false, errResponse
			}
			if n == 0 {
				return true, nil
			}
			r.left, r.size = int(n), false
			continue
		}
		n := min(r.left, len(b))
		r.body(b[:n], event)
		b = b[n:]
		if r.left -= n; r.left == 0 {
			r.size = true
		}
	}
	return false, nil
}

func (r *reader) readHead(head []byte) error {
	first, rest, _ := bytes.Cut(head, []byte("\r\n"))
	fields := bytes.Fields(first)
	if len(fields) < 2 {
		return errResponse
	}
	status, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return errResponse
	}
	r.status = status
	lower := bytes.ToLower(rest)
	r.chunked = bytes.Contains(lower, []byte("transfer-encoding: chunked"))
	r.size = r.chunked
	return nil
}

// body reads the stream itself. A line may come in pieces.
func (r *reader) body(b []byte, event func(Event)) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			r.pending = append(r.pending, b...)
			return
		}
		line := b[:i]
		if len(r.pending) > 0 {
			r.pending = append(r.pending, line...)
			line = r.pending
		}
		r.field(line, event)
		r.pending = r.pending[:0]
		b = b[i+1:]
	}
}

func (r *reader) field(line []byte, event func(Event)) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		if len(r.data) > 0 {
			event(Event{Name: r.name, Data: r.data, ID: r.id})
		}
		r.name, r.data = "", r.data[:0]
		return
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		r.name = string(value)
	case "data":
		if len(r.data) > 0 {
			r.data = append(r.data, '\n')
		}
		r.data = append(r.data, value...)
	case "id":
		r.id = string(value)
	case "retry":
		if ms, err := strconv.Atoi(string(value)); err == nil {
			r.retry = time.Duration(ms) * time.Millisecond
		}
	}
}
