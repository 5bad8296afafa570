package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"statustail/stream/api"
	"statustail/stream/embedded"
	"statustail/stream/fanout"
	"statustail/stream/hund"
	"statustail/stream/live"
	"statustail/stream/store"
	"statustail/widget"
)

// A server is everything that serve runs, in the order in which it is
// started; it is stopped in the opposite one.
type server struct {
	cfg    serveConfig
	log    *slog.Logger
	stdout io.Writer

	public, ops, pprof []net.Listener

	db       *embedded.DB // nil with --mongodb-uri
	client   *mongo.Client
	store    *store.Store
	proxies  []netip.Prefix
	hub      *fanout.Hub
	pages    *live.Pages
	opsLog   *api.OpsLog
	metrics  *prometheus.Registry
	draining atomic.Bool
	silent   silent
}

// serve runs a server until ctx is done, drains it, and returns. What cannot
// be started is an error; a database that cannot be reached is not: it is
// waited for, and /readyz says so.
func serve(ctx context.Context, cfg serveConfig, stdout, stderr io.Writer) (err error) {
	s := &server{cfg: cfg, stdout: stdout, log: newLogger(cfg, stderr), metrics: prometheus.NewRegistry()}
	defer s.closeListeners()
	if s.proxies, err = cfg.trustedProxies(); err != nil {
		return err
	}
	if err := errors.Join(open(&s.ops, cfg.OpsListen), open(&s.pprof, cfg.PprofListen)); err != nil {
		return err
	}
	defer s.closeDatabase()
	if err := s.openDatabase(ctx); err != nil {
		return err
	}

	// What works on pages and follows the database ends after the last
	// subscriber has gone, so that all see the truth up to the end.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.build(work)

	failed := make(chan error, 8)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		if err := s.follow(work); work.Err() == nil {
			failed <- err
		}
	}()
	if s.db != nil {
		go s.trimEvents(work)
	}
	servers := []*http.Server{s.serveOps(failed), s.serveHTTP(s.pprof, pprofHandler(), failed)}

	// Browsers that come before the server can answer would only wait here,
	// and a proxy that favours the server with the fewest would send them all.
	// A database that is away must not keep the server from saying so.
	select {
	case <-s.pages.CaughtUp():
	case <-time.After(patience):
		s.log.Warn("the database has not been caught up with yet; listening all the same", "after", patience)
	case <-ctx.Done():
	case err = <-failed:
	}
	if err == nil && ctx.Err() == nil {
		if err = open(&s.public, cfg.Listen...); err == nil {
			servers = append(servers, s.serveHTTP(s.public, s.handler(), failed))
			s.announce()
			select {
			case <-ctx.Done():
			case err = <-failed:
			}
		}
	}
	s.shutdown(servers)
	stop()
	<-followed
	return err
}

// patience is how long the first catch-up may take before the server listens
// without it.
const patience = 10 * time.Second

// open listens on addresses; an empty one is none.
func open(listeners *[]net.Listener, addresses ...string) error {
	for _, address := range addresses {
		if address == "" {
			continue
		}
		opened, err := listen(address)
		if err != nil {
			return err
		}
		*listeners = append(*listeners, opened...)
	}
	return nil
}

func (s *server) closeListeners() {
	for _, group := range [][]net.Listener{s.public, s.ops, s.pprof} {
		for _, l := range group {
			l.Close()
		}
	}
}

// build makes what stands between the database and HTTP.
func (s *server) build(ctx context.Context) {
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.opsLog = api.NewOpsLog()
	encoder := hund.Encoder{PingInterval: s.cfg.Ping}
	s.hub = fanout.New(fanout.Config{
		Ping:           s.cfg.Ping,
		RetryMin:       s.cfg.RetryMin,
		RetryMax:       s.cfg.RetryMax,
		RingAge:        s.cfg.keep(),
		MaxSubscribers: cmp.Or(s.cfg.MaxSubscribers, descriptors(s.cfg.MaxParked)),
		MaxPerPage:     s.cfg.MaxSubscribersPerPage,
		MaxPerClient:   s.cfg.MaxSubscribersPerIP,
		MaxParked:      cmp.Or(s.cfg.MaxParked, -1), // 0 parks nobody here
		Refused: func(q fanout.Request, reason string) {
			s.opsLog.Observe(live.Activity{Kind: "refused", Page: q.Page, Detail: reason})
		},
		Logger:     s.log,
		Registerer: s.metrics,
	})
	s.pages = live.New(ctx, live.Config{
		Loader:      loader{s.store},
		Encoder:     encoder,
		Open:        api.Channels(s.hub),
		Logger:      s.log,
		Registerer:  s.metrics,
		Observe:     s.opsLog.Observe,
		Concurrency: s.cfg.ReloadConcurrency,
		Replay:      s.cfg.keep(),
	})
}

// reserve is how many descriptors are left to what is not a subscriber:
// listeners, the database, requests under way.
const reserve = 512

// descriptors is how many subscribers this process has descriptors for: 0, no
// limit, where that is not known. Beyond it, connections would wait in the
// kernel's queue instead of being held and sent away.
func descriptors(parked int) int {
	n := descriptorLimit()
	if n == 0 {
		return 0
	}
	return max(n-parked-reserve, n/2)
}

// keep is how long what was published is kept for replay: --replay 0 is as
// good as not at all.
func (c *serveConfig) keep() time.Duration { return max(c.Replay, time.Millisecond) }

func (s *server) handler() http.Handler {
	return api.New(api.Config{
		Pages:          s.pages,
		Hub:            s.hub,
		Encoder:        hund.Encoder{PingInterval: s.cfg.Ping},
		Issue:          loader{s.store}.Issue,
		Widget:         widget.Handler(),
		WidgetRoutes:   widget.Routes(),
		Tag:            widget.Tag,
		TrustedProxies: s.proxies,
		Logger:         s.log,
		Observe:        s.opsLog.Observe,
	})
}

func (s *server) serveOps(failed chan<- error) *http.Server {
	return s.serveHTTP(s.ops, api.NewOps(api.OpsConfig{
		Health: s.pages.Health, Draining: s.draining.Load, Gatherer: s.metrics, Log: s.opsLog,
	}), failed)
}

// serveHTTP starts an HTTP server on listeners.
func (s *server) serveHTTP(listeners []net.Listener, handler http.Handler, failed chan<- error) *http.Server {
	srv := &http.Server{
		Handler: handler,
		// Whoever dawdles over a request holds a connection and no more.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       320 * time.Second, // as nginx/statustail.conf has it
		MaxHeaderBytes:    16 << 10,
		ConnState:         s.silent.watch,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	for _, l := range listeners {
		go func() {
			err := srv.Serve(s.hub.Listener(l))
			if !errors.Is(err, http.ErrServerClosed) && !s.draining.Load() {
				failed <- fmt.Errorf("serve on %s: %w", l.Addr(), err)
			}
		}()
	}
	return srv
}

// shutdown lets everybody go: readiness fails first, then nobody new is taken
// and the streams end, spread over the drain window, then what else is under
// way.
func (s *server) shutdown(servers []*http.Server) {
	s.draining.Store(true)
	if n := s.hub.Subscribers(); n > 0 {
		s.log.Info("draining: streams are ended one after the other; a second signal ends all at once", "streams", n, "over", s.cfg.Drain)
	} else {
		s.log.Info("ending: no stream is open")
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Drain+10*time.Second)
	defer cancel()
	// Nobody new: a proxy takes them to another server. Here they could only
	// be parked.
	for _, l := range s.public {
		l.Close()
	}
	if err := s.hub.Drain(ctx, s.cfg.Drain); err != nil {
		s.log.Warn("draining took too long; the rest was cut", "error", err)
	}
	s.opsLog.Close()
	s.silent.end()
	for _, srv := range servers {
		if err := srv.Shutdown(ctx); err != nil {
			srv.Close()
		}
	}
	s.log.Info("stopped")
}

func pprofHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
