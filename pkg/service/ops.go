package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// OpsHandler serves /healthz, /readyz, /metrics, and /loglevel: GET shows the
// level, PUT {"level":"debug"} changes it. The last answers only callers on this
// machine (403 to others), because the address is often open to a network and a
// debug log is not for everybody to switch on.
func OpsHandler(health *Health, metrics prometheus.Gatherer, level zap.AtomicLevel) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", LiveHandler())
	mux.Handle("GET /readyz", ReadyHandler(health))
	mux.Handle("GET /metrics", MetricsHandler(metrics))
	mux.Handle("/loglevel", localOnly(level))
	return mux
}

func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !IsLoopback(r.RemoteAddr) {
			http.Error(w, "only from this machine", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Ops is the operations server: an HTTP listener beside a service's own.
type Ops struct {
	listener net.Listener
	server   *http.Server
}

// NewOps listens on addr (host:port; port 0 takes a free one). It fails when the
// address cannot be used, so that a program finds out before it takes work.
func NewOps(addr string, h http.Handler) (*Ops, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("PAIRGATE_METRICS_ADDR: %w", err)
	}
	return &Ops{listener: l, server: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}}, nil
}

// Addr is the address that the server listens on.
func (o *Ops) Addr() string { return o.listener.Addr().String() }

// Serve answers until ctx ends, gives requests under way half a second, and
// returns nil; or it returns why it could not go on. It is called once.
func (o *Ops) Serve(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- o.server.Serve(o.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("operations server: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), opsGrace)
	defer cancel()
	if err := o.server.Shutdown(grace); err != nil {
		// What is still open after the grace is cut off.
		_ = o.server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("operations server: %w", err)
	}
	return nil
}
