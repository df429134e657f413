// Package gateway is Pairgate's HTTP API.
//
// It holds no state of its own: what it answers comes from the followed buckets and
// streams, and what it is told to do goes to the registry over NATS. Any number of
// gateways may run; each counts rate limits for itself.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/service"
	spec "pairgate.dev/proto"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/console"
	"pairgate.dev/services/gateway/internal/evolution"
	"pairgate.dev/services/gateway/internal/native"
	"pairgate.dev/services/gateway/internal/web"
)

// Name is the name of the service, and of its program.
const Name = "gateway"

const (
	// drainTimeout is how long requests that have begun may take once Run's
	// context has ended. Streams and waits end at once.
	drainTimeout = 6 * time.Second

	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

// Run serves HTTP until ctx ends. Then it takes no new connection, ends streams and
// waits, lets other requests finish for six seconds, and returns nil. It returns
// an error when it cannot start (no admin key, an address that is taken) or when
// the listener fails.
func Run(ctx context.Context, cfg Config, deps Deps) (err error) {
	deps = deps.withDefaults()
	listener := deps.Listener
	if !validKey(cfg.AdminKey) {
		return errors.Join(errors.New("PAIRGATE_ADMIN_KEY: must be "+wantedAdminKey), closeListener(listener))
	}
	if listener == nil {
		if listener, err = net.Listen("tcp", cfg.HTTPAddr); err != nil {
			return fmt.Errorf("PAIRGATE_HTTP_ADDR: %w", err)
		}
	}
	defer func() { err = errors.Join(err, closeListener(listener)) }()
	views := deps.Views
	if views == nil {
		views = bus.NewViews(deps.Bus, deps.Log)
		defer views.Close()
	}
	metrics, err := web.NewMetrics(deps.Metrics)
	if err != nil {
		return fmt.Errorf("gateway: metrics: %w", err)
	}
	c := client.New(deps.Bus, views, deps.Log)
	c.Start()
	unwatch, err := watchReadiness(deps, views)
	if err != nil {
		return err
	}
	defer unwatch()

	stopping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	router := web.NewRouter(deps.Log, metrics)
	router.AllowOrigins(cfg.CORSOrigins)
	limiter := web.NewLimiter(cfg.RateLimit)
	api := native.New(native.Options{Client: c, Log: deps.Log, AdminKey: cfg.AdminKey, Limiter: limiter, Metrics: metrics, Stopping: stopping})
	api.Register(router)
	green := greenAPI(cfg, deps.Bus, c, stopping)
	green.Register(router)
	defer func() { stop(); green.Wait() }()
	theirs := evolution.New(evolution.Options{Client: c, AdminKey: cfg.AdminKey, Limiter: limiter, Stopping: stopping,
		QRLimit: cfg.Evolution.QRLimit, QRColor: cfg.Evolution.QRColor, ClientName: cfg.Evolution.ClientName,
		HideTokens: cfg.Evolution.HideTokens, HideManager: cfg.Evolution.HideManager, Origins: cfg.Evolution.Origins, WebVersion: cfg.Evolution.Version})
	router.Mount(theirs.Mount())
	page, err := console.New(console.Options{Client: c, Log: deps.Log, AdminKey: cfg.AdminKey, Metrics: metrics, Stopping: stopping, Other: theirs.Root})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	page.Register(router)
	operations(router, api, deps)
	return serve(ctx, listener, router, deps, stop)
}

// operations adds the routes for probes, metrics and the descriptions of the APIs.
func operations(router *web.Router, api *native.API, deps Deps) {
	open := func(h http.Handler) web.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			h.ServeHTTP(w, r)
			return nil
		}
	}
	router.Handle(http.MethodGet, "/healthz", open(service.LiveHandler()))
	router.Handle(http.MethodGet, "/readyz", open(service.ReadyHandler(deps.ProcessHealth)))
	for name, description := range map[string][]byte{"/openapi.yaml": spec.OpenAPI, "/asyncapi.yaml": spec.AsyncAPI} {
		router.Handle(http.MethodGet, name, api.Known(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = web.Bytes(w, http.StatusOK, "application/yaml", description) // it has no error
		})))
	}
	if deps.Gatherer != nil {
		router.Handle(http.MethodGet, "/metrics", api.AdminOnly(service.MetricsHandler(deps.Gatherer)))
	}
}

// serve serves until ctx ends, then drains.
func serve(ctx context.Context, listener net.Listener, h http.Handler, deps Deps, stop func()) error {
	// The library's own complaints are about single connections.
	errorLog, err := zap.NewStdLogAt(deps.Log, zap.DebugLevel)
	if err != nil {
		return fmt.Errorf("gateway: logger: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: errorLog}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	deps.Log.Info("serving HTTP", zap.String("address", listener.Addr().String()))
	select {
	case err := <-served:
		return fmt.Errorf("gateway: listener: %w", err)
	case <-ctx.Done():
	}
	deps.Health.Drain()
	stop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		deps.Log.Warn("requests were cut off", zap.Error(err))
		err = server.Close()
		<-served
		return err
	}
	<-served
	return nil
}

// closeListener closes what may be closed already.
func closeListener(l net.Listener) error {
	if l == nil {
		return nil
	}
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
