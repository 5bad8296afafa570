package api

import (
	"statustail/stream/change"
	"statustail/stream/fanout"
	"statustail/stream/live"
)

// Channels lets the live pages publish on the hub. Neither knows the other;
// all that stands between them is the name of one interface.
func Channels(hub *fanout.Hub) func(name string, src live.Source, coverage change.Position) live.Channel {
	return func(name string, src live.Source, coverage change.Position) live.Channel {
		return channel{hub.Open(name, src, coverage)}
	}
}

type channel struct{ *fanout.Channel }

func (c channel) Publish(src live.Source, frames [][]byte, key string, upto, id change.Position) {
	c.Channel.Publish(src, frames, key, upto, id)
}
