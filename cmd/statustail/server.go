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
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"statustail/stream/api"
	"statustail/stream/change"
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
	budget             budget

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
	s.budget = share(descriptorLimit(), cfg)
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
			servers = append(servers, s.servePublic(s.handler(), failed))
			s.announce()
			select {
			case <-ctx.Done():
			case err = <-failed:
			}
		}
	}
	s.shutdown(servers)
	stop()
	select {
	case <-followed:
	case <-time.After(lastWait):
		s.log.Warn("following the database has not ended; exiting all the same", "after", lastWait)
	}
	return err
}

// lastWait is how long what follows the database may take to end.
const lastWait = 15 * time.Second

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
	version, revision := built()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "statustail_build_info", Help: "1, with what this server was built from.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "go": runtime.Version()},
	})
	info.Set(1)
	s.metrics.MustRegister(info)
	s.opsLog = api.NewOpsLog()
	s.hub = fanout.New(fanout.Config{
		Ping:           s.cfg.Ping,
		RetryMin:       s.cfg.RetryMin,
		RetryMax:       s.cfg.RetryMax,
		Replay:         cmp.Or(s.cfg.Replay, -1), // 0 means none here
		MaxSubscribers: s.budget.subscribers,
		MaxPerPage:     s.cfg.MaxSubscribersPerPage,
		MaxPerClient:   s.cfg.MaxSubscribersPerIP,
		MaxParked:      cmp.Or(s.budget.parked, -1), // 0 parks nobody here
		Refused: func(q fanout.Request, reason string) {
			s.opsLog.Observe(live.Activity{Kind: "refused", Page: q.Page, Detail: reason})
		},
		Logger:     s.log,
		Registerer: s.metrics,
	})
	s.pages = live.New(ctx, live.Config{
		Loader:  loader{s.store},
		Encoder: hund.Encoder{PingInterval: s.cfg.Ping},
		Open: func(page string, src change.Source, messages bool) live.Channel {
			return s.hub.Open(page, src, messages)
		},
		Messages:    s.hub,
		Logger:      s.log,
		Registerer:  s.metrics,
		Observe:     s.opsLog.Observe,
		Concurrency: s.cfg.ReloadConcurrency,
	})
}

// A budget is how many descriptors what may have.
type budget struct {
	subscribers int // 0: no limit
	parked      int
	conns       int // connections that are no streams
}

// share divides the descriptors of this process, 0 if that is not known. Some
// are left to operators, the database and files; beyond the rest, connections
// wait in the kernel's queue, or are held and sent away.
func share(descriptors int, cfg serveConfig) budget {
	b := budget{subscribers: cfg.MaxSubscribers, parked: cfg.MaxParked, conns: 4096}
	if descriptors == 0 {
		return b
	}
	left := descriptors - min(256, descriptors/4)
	if b.subscribers == 0 {
		b.subscribers = max(left-2*b.parked, left*2/5)
	}
	rest := max(left-b.subscribers, 64)
	b.parked = min(b.parked, rest/2)
	b.conns = min(rest-b.parked, b.conns)
	return b
}

func (s *server) handler() http.Handler {
	return api.New(api.Config{
		Pages:          s.pages,
		Hub:            s.hub,
		Widget:         widget.Handler(),
		WidgetRoutes:   widget.Routes(),
		Tag:            widget.Tag,
		TrustedProxies: s.proxies,
		Logger:         s.log,
		Registerer:     s.metrics,
		Observe:        s.opsLog.Observe,
	})
}

// health is that of the pages, and of the embedded database's disk.
func (s *server) health() live.Health {
	h := s.pages.Health()
	if s.db != nil && h.Err == nil {
		if err := s.db.WriteError(); err != nil {
			h.Err, h.Since = fmt.Errorf("the embedded database cannot write to %s: %w", s.cfg.Data, err), time.Now()
		}
	}
	return h
}

func (s *server) serveOps(failed chan<- error) *http.Server {
	return s.serveHTTP(s.ops, api.NewOps(api.OpsConfig{
		Health: s.health, Draining: s.draining.Load, Gatherer: s.metrics, Log: s.opsLog,
	}), failed)
}

// servePublic serves strangers: every connection has deadlines, and counts
// against a limit. Streams have deadlines of their own.
func (s *server) servePublic(handler http.Handler, failed chan<- error) *http.Server {
	srv := s.newHTTP(handler)
	srv.ReadTimeout = 20 * time.Second
	srv.WriteTimeout = 30 * time.Second
	limit := newConnLimit(s.budget.conns, func() { // there is no call for it alone
		srv.SetKeepAlivesEnabled(false)
		srv.SetKeepAlivesEnabled(true)
	})
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		limit.state(c, state)
		s.silent.watch(c, state)
	}
	for _, l := range s.public {
		s.serveOn(srv, limit.listener(l), failed)
	}
	return srv
}

// serveHTTP starts an HTTP server for operators on listeners.
func (s *server) serveHTTP(listeners []net.Listener, handler http.Handler, failed chan<- error) *http.Server {
	srv := s.newHTTP(api.KnownHosts(s.cfg.OpsHost, handler))
	for _, l := range listeners {
		s.serveOn(srv, l, failed)
	}
	return srv
}

func (s *server) newHTTP(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       320 * time.Second, // as nginx/statustail.conf has it
		MaxHeaderBytes:    16 << 10,
		ConnState:         s.silent.watch,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

func (s *server) serveOn(srv *http.Server, l net.Listener, failed chan<- error) {
	go func() {
		err := srv.Serve(s.hub.Listener(l))
		if !errors.Is(err, http.ErrServerClosed) && !s.draining.Load() {
			failed <- fmt.Errorf("serve on %s: %w", l.Addr(), err)
		}
	}()
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

// pprofHandler has no cmdline: a password may stand in it.
func pprofHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
