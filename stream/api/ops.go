package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"statustail/stream/live"
)

// OpsConfig is what NewOps needs.
type OpsConfig struct {
	// Health is asked by /readyz.
	Health func() live.Health
	// Draining reports whether the server is on its way out.
	Draining func() bool
	Gatherer prometheus.Gatherer
	Log      *OpsLog
}

// NewOps gives the operators' handler, for a listener that the public does
// not reach.
func NewOps(cfg OpsConfig) http.Handler {
	gin.SetMode(gin.ReleaseMode) // it prints its routes otherwise
	r := gin.New()
	r.Use(gin.Recovery())
	r.GET("/healthz", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok"}) })
	r.GET("/readyz", func(c *gin.Context) {
		code, body := readiness(cfg.Health(), cfg.Draining())
		c.JSON(code, body)
	})
	r.GET("/metrics", gin.WrapH(promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{})))
	r.GET("/tail", gin.WrapH(cfg.Log))
	return r
}

// readiness says whether new connections should come here. A database that
// is away does not change that: taking every server out of rotation would
// turn a stale page into none.
func readiness(h live.Health, draining bool) (code int, body gin.H) {
	body = gin.H{"status": "ready", "position": h.Reached.String()}
	code = http.StatusOK
	if h.Err != nil {
		body["status"] = "degraded"
		body["reason"] = h.Err.Error()
		body["since"] = h.Since.UTC().Format(time.RFC3339)
	}
	if !h.CaughtUp {
		code = http.StatusServiceUnavailable
		body["status"] = "starting"
		if h.Err == nil {
			body["reason"] = "following the database has not caught up yet"
		}
	}
	if draining {
		code = http.StatusServiceUnavailable
		body["status"], body["reason"] = "draining", "the server is shutting down"
	}
	return code, body
}
