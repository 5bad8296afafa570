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
	channel *fanout.Channel
	metrics *prometheus.Registry
	shown   source
}

// source shows how many events there have been.
type source struct{ n atomic.Int64 }

func (s *source) Snapshot(_ time.Time, recovered *bool) []byte {
	told := "fresh"
	if recovered != nil {
		told = fmt.Sprint(*recovered)
	}
	return fmt.Appendf(nil, "event: init_event\ndata: S %d %s\n\n", s.n.Load(), told)
}

func (s *source) Ping(time.Time) []byte { return []byte("event: ping_event\ndata: {}\n\n") }

func (s *source) Settled() change.Position { return change.Position(s.n.Load()) }

func newFanout() server   { return newFanoutServer(fanout.Config{}) }
func newPortable() server { return newFanoutServer(fanout.Config{Portable: true}) }

func newFanoutServer(cfg fanout.Config) server {
	s := &fanoutServer{metrics: prometheus.NewRegistry()}
	cfg.Registerer = s.metrics
	cfg.Stuck = time.Hour // so that the stalled stay
	hub := fanout.New(cfg)
	s.channel = hub.Open("c", &s.shown, 0)
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.GET("/", func(c *gin.Context) {
		if err := hub.Serve(c.Writer, c.Request, fanout.Request{Channel: "c"}); err != nil {
			c.AbortWithStatus(404)
		}
	})
	s.handler = g.Handler()
	return s
}

func (s *fanoutServer) publish(id int, data string) {
	s.shown.n.Store(int64(id))
	frame := fmt.Appendf(nil, "event: %s\ndata: %s\n\n", eventName, data)
	s.channel.Publish(nil, [][]byte{frame}, "", change.Position(id), change.Position(id))
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
