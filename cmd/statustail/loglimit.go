package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxLines is how many lines of the same words are logged within
	// linesWithin, whatever causes them: a thousand wrong documents, or a
	// connection that comes and goes.
	maxLines    = 10
	linesWithin = time.Minute
	// maxWords bounds the different words that are counted. They are few,
	// since what varies is in attributes.
	maxWords = 1000
)

// A limiter keeps a log from being flooded: of lines with the same words it
// passes on the first few of each minute, and says in the next one how many it
// held back. Debug lines are not limited.
type limiter struct {
	slog.Handler
	lines *lines
}

type lines struct {
	mu sync.Mutex
	of map[string]*window
}

type window struct {
	since        time.Time
	passed, held int
}

func limited(h slog.Handler) slog.Handler {
	return limiter{h, &lines{of: make(map[string]*window)}}
}

func (l limiter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		pass, held := l.lines.count(r.Message, r.Time)
		if !pass {
			return nil
		}
		if held > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("held_back", held))
		}
	}
	return l.Handler.Handle(ctx, r)
}

func (l limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return limiter{l.Handler.WithAttrs(attrs), l.lines}
}

func (l limiter) WithGroup(name string) slog.Handler {
	return limiter{l.Handler.WithGroup(name), l.lines}
}

// count reports whether a line is to be logged, and how many like it were held
// back before.
func (l *lines) count(words string, now time.Time) (pass bool, held int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.of[words]
	if w == nil {
		if len(l.of) >= maxWords {
			clear(l.of)
		}
		w = &window{since: now}
		l.of[words] = w
	}
	if now.Sub(w.since) >= linesWithin {
		*w, held = window{since: now}, w.held
	}
	if w.passed >= maxLines {
		w.held++
		return false, 0
	}
	w.passed++
	return true, held
}
