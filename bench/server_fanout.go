package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"statustail/stream/change"
	"statustail/stream/fanout"
)

// fanoutServer is statustail's engine behind gin, as in the product.
type fanoutServer struct {
	httpServer
	hub     *fanout.Hub
	metrics *prometheus.Registry
	shown   source
}

// source shows how many events there have been.
type source struct{ n atomic.Int64 }

var told = [...]string{change.Fresh: "fresh", change.Recovered: "true", change.Unrecovered: "false"}

func (s *source) Snapshot(_ time.Time, r change.Recovery) [][]byte {
	return [][]byte{fmt.Appendf(nil, "event: init_event\ndata: S %d %s\n\n", s.n.Load(), told[r])}
}

func (s *source) Ping(time.Time) []byte { return []byte("event: ping_event\ndata: {}\n\n") }

func (s *source) Dropped(n int) []byte {
	return fmt.Appendf(nil, "event: messages_dropped\ndata: %d\n\n", n)
}

func newFanout() server   { return newFanoutServer(fanout.Config{}) }
func newPortable() server { return newFanoutServer(fanout.Config{Portable: true}) }

func newFanoutServer(cfg fanout.Config) server {
	s := &fanoutServer{metrics: prometheus.NewRegistry()}
	cfg.Registerer = s.metrics
	cfg.Stuck = time.Hour // so that the stalled stay
	s.hub = fanout.New(cfg)
	s.hub.Begin(1)
	channel := s.hub.Open("p", &s.shown, true)
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.GET("/", func(c *gin.Context) {
		s.hub.Serve(c.Writer, c.Request, fanout.Request{Channel: channel})
	})
	s.handler = g.Handler()
	return s
}

func (s *fanoutServer) publish(id int, data string) {
	s.shown.n.Store(int64(id))
	frame := fmt.Appendf(nil, "event: %s\ndata: %s\n\n", eventName, data)
	at := change.Position(id + 1)
	s.hub.Message(change.Message{Page: "p", Name: eventName, At: at}, frame)
	s.hub.Reached(at)
}

func (s *fanoutServer) counts(a *answer) {
	families, err := s.metrics.Gather()
	if err != nil {
		a.Err = err.Error()
		return
	}
	for _, f := range families {
		v := f.GetMetric()[0].GetCounter().GetValue()
		switch f.GetName() {
		case "statustail_writes_total":
			a.Writes = v
		case "statustail_frames_sent_total":
			a.Frames = v
		case "statustail_skips_total":
			a.Skips = v
		case "statustail_resumes_total":
			a.Resume = v
		}
	}
}
