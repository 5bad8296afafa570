package store

import (
	"sync"

	"statustail/stream/markdown"
	"statustail/stream/status"
)

// A textCache keeps rendered bodies. A page is read again at every change of
// anything on it, and nearly all of its bodies are what they were.
//
// It has two generations: what is used moves to the young one; when that is
// full it becomes the old one, and what nobody used since is forgotten.
type textCache struct {
	limit int // bytes of each generation

	mu         sync.Mutex
	young, old map[string]status.Text
	size       int // bytes in young
}

func newTextCache(limit int) *textCache {
	if limit == 0 {
		limit = 16 << 20
	}
	return &textCache{limit: limit / 2, young: map[string]status.Text{}}
}

// render is the body in both its forms.
func (c *textCache) render(md string) status.Text {
	if md == "" {
		return status.Text{}
	}
	c.mu.Lock()
	text, ok := c.young[md]
	if !ok {
		if text, ok = c.old[md]; ok {
			c.keep(md, text)
		}
	}
	c.mu.Unlock()
	if ok {
		return text
	}
	text.HTML, text.Plain = markdown.Render(md)
	c.mu.Lock()
	c.keep(md, text)
	c.mu.Unlock()
	return text
}

// keep puts an entry into the young generation. The caller holds the lock.
func (c *textCache) keep(md string, text status.Text) {
	const overhead = 128 // of a map entry and its headers, roughly
	n := len(md) + len(text.HTML.String()) + len(text.Plain) + overhead
	if n > c.limit {
		return
	}
	if _, ok := c.young[md]; ok {
		return
	}
	if c.size+n > c.limit {
		c.old, c.young, c.size = c.young, map[string]status.Text{}, 0
	}
	c.young[md] = text
	c.size += n
}
