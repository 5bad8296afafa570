package main

import (
	"regexp"
	"strings"
	"sync"
	"testing"
)

// An output is what a program prints, for a test to wait for.
type output struct {
	mu      sync.Mutex
	text    strings.Builder
	written chan struct{} // closed and replaced by each write
}

func (b *output) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written != nil {
		close(b.written)
		b.written = nil
	}
	return b.text.Write(p)
}

func (b *output) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// await waits until the output matches, and gives the first group of the
// pattern.
func (b *output) await(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		b.mu.Lock()
		m := re.FindStringSubmatch(b.text.String())
		if b.written == nil {
			b.written = make(chan struct{})
		}
		written := b.written
		b.mu.Unlock()
		if m != nil {
			return m[len(m)-1]
		}
		select {
		case <-written:
		case <-t.Context().Done():
			t.Fatalf("no %s in\n%s", pattern, b)
		}
	}
}
