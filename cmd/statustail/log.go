package main

import (
	"io"
	"log/slog"
)

// logTo is the log of the commands other than serve: warnings only.
func logTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// newLogger is the log of serve.
func newLogger(cfg serveConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo // kong admits only words that are levels
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.LogFormat == "json" {
		opts.ReplaceAttr = inSeconds
		return slog.New(limited(slog.NewJSONHandler(w, opts)))
	}
	return slog.New(limited(slog.NewTextHandler(w, opts)))
}

// inSeconds writes durations as seconds, not as nanoseconds.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}
