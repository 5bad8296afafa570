package api

import (
	"cmp"
	"errors"

	"github.com/gin-gonic/gin"

	"statustail/stream/fanout"
	"statustail/stream/live"
)

// stream serves the live stream of a page or of one of its components.
func (a *api) stream(c *gin.Context) {
	q := fanout.Request{
		Page:   c.Param("page"),
		Client: clientKey(clientAddr(c.Request, a.TrustedProxies)),
		// The header, Hund's parameter, and that of event-source-polyfill.
		LastEventID: cmp.Or(c.GetHeader("Last-Event-ID"), c.Query("last_event_id"), c.Query("lastEventId")),
	}
	pg, err := a.find(c)
	if errors.Is(err, live.ErrUnavailable) {
		a.Observe(live.Activity{Kind: "parked", Page: q.Page, Detail: err.Error()})
		c.Header("Access-Control-Allow-Origin", "*") // there is nothing to read
		a.Hub.Park(c.Writer, c.Request, q)
		return
	}
	if err != nil {
		a.deny(c, err)
		return
	}
	channel, err := pg.Channel(c.Param("component"))
	if err != nil {
		a.deny(c, err)
		return
	}
	// Headers that only matter to scripts that fetch are left out: a proxy
	// holds them for as long as the stream lasts.
	allow(c, pg.Head())
	q.Page = pg.ID()
	q.Channel = channel.(*fanout.Channel) // the live pages open no others
	a.Hub.Serve(c.Writer, c.Request, q)
}
