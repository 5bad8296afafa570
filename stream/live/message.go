package live

import (
	"time"

	"statustail/stream/change"
)

// waiting is a message that waits for the reload that an earlier hint of its
// page asked for, so that ids do not run backwards.
type waiting struct {
	*entry
	until time.Time
}

// Message enters a message into the log and publishes it when its page is
// live.
func (p *Pages) Message(m change.Message) {
	now := time.Now()
	e := &entry{
		page: m.Page, key: m.Key, at: m.At, added: now,
		frames: [][]byte{p.cfg.Encoder.Message(m.Name, m.Data)},
	}
	if m.Key != "" {
		e.key = m.Name + "\x00" + m.Key
	}
	p.metrics.messages.Inc()
	p.mu.Lock()
	e.history = e.at <= p.history
	p.log.add(e)
	p.metrics.logBytes.Set(float64(p.log.bytes))
	pg, live := p.pages[m.Page]
	if live {
		pg.waiting = append(pg.waiting, waiting{e, now.Add(p.cfg.MessageWait)})
		pg.setFloor()
	}
	p.mu.Unlock()
	if live {
		pg.publishing.Lock()
		p.publishWaiting(pg)
		pg.publishing.Unlock()
	}
	p.observe("message", m.Page, m.Name, m.At)
}

// publishWaiting publishes the messages that need wait no longer.
// publishing must be held.
func (p *Pages) publishWaiting(pg *Page) {
	for {
		e, id, ok := p.nextWaiting(pg)
		if !ok {
			return
		}
		if f, open := pg.feeds[""]; open && !pg.gone {
			if e.history {
				f.channel.Record(e.frames, e.key, e.at, id)
			} else {
				f.channel.Publish(nil, e.frames, e.key, e.at, id)
				p.metrics.published.Inc()
			}
		}
		p.mu.Lock()
		pg.waiting = pg.waiting[1:]
		if len(pg.waiting) == 0 {
			pg.waiting = nil
		}
		pg.setFloor()
		p.mu.Unlock()
	}
}

// nextWaiting looks at the oldest waiting message. It may go when no earlier
// hint is unanswered, with its own position as id, or when it has waited long
// enough, without one.
func (p *Pages) nextWaiting(pg *Page) (e *entry, id change.Position, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(pg.waiting) == 0 {
		return nil, 0, false
	}
	w := pg.waiting[0]
	var hinted hints
	hinted.merge(pg.pending)
	hinted.merge(pg.inFlight)
	if hinted.oldest == 0 || hinted.oldest > w.at {
		return w.entry, w.at, true
	}
	now := time.Now()
	if left := w.until.Sub(now); left > 0 {
		if pg.wait != nil {
			pg.wait.Stop()
		}
		pg.wait = time.AfterFunc(left, func() {
			pg.publishing.Lock()
			defer pg.publishing.Unlock()
			p.publishWaiting(pg)
		})
		return nil, 0, false
	}
	return w.entry, 0, true
}
