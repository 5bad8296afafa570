package api

import (
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
)

// measured counts requests by route and status, and takes their time, but for
// streams: those are the hub's to count.
func measured(r prometheus.Registerer) gin.HandlerFunc {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "statustail_http_requests_total", Help: "Requests by route and status.",
	}, []string{"route", "code"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "statustail_http_request_duration_seconds", Help: "Time that requests took which are no streams, by route.",
		Buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10},
	}, []string{"route"})
	if r != nil {
		r.MustRegister(requests, seconds)
	}
	return func(c *gin.Context) {
		begun := time.Now()
		c.Next()
		route := c.FullPath()
		if route == "" { // what strangers ask for is no label
			route = "none"
		}
		requests.WithLabelValues(route, strconv.Itoa(c.Writer.Status())).Inc()
		if !strings.Contains(route, streamPath) {
			seconds.WithLabelValues(route).Observe(time.Since(begun).Seconds())
		}
	}
}
