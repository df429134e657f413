// Package web is the HTTP of the gateway that does not depend on what is served:
// routing, request ids, errors, bodies, queries, limits and metrics.
//
// Guarantees: every answer that is an error is an RFC 9457 problem, unknown routes,
// wrong methods and panics included; every request has an id, in the answer's
// X-Request-Id and on every request it makes; no log line or metric holds a path,
// a query, a header or a body.
package web

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// HeaderRequestID is the HTTP header of the request id, in both directions.
const HeaderRequestID = "X-Request-Id"

// Handler serves a request. An error is answered as a problem, if nothing was
// written before it.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Router serves routes. Add them before the first request.
type Router struct {
	mux, paths *http.ServeMux
	methods    map[string][]string // by path pattern
	metrics    *Metrics
	log        *zap.Logger
}

// NewRouter makes a router without routes. metrics may be nil.
func NewRouter(log *zap.Logger, metrics *Metrics) *Router {
	rt := &Router{mux: http.NewServeMux(), paths: http.NewServeMux(), methods: map[string][]string{}, metrics: metrics, log: log}
	rt.mux.HandleFunc("/", rt.unrouted)
	return rt
}

// Handle adds a route. pattern is a path as http.ServeMux takes it.
func (rt *Router) Handle(method, pattern string, h Handler) {
	rt.mux.HandleFunc(method+" "+pattern, func(w http.ResponseWriter, r *http.Request) {
		if rec, ok := w.(*recorder); ok {
			rec.route = pattern
		}
		if err := h(w, r); err != nil {
			rt.fail(w, r, err)
		}
	})
	if rt.methods[pattern] == nil {
		rt.paths.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	rt.methods[pattern] = append(rt.methods[pattern], method)
	if method == http.MethodGet {
		rt.methods[pattern] = append(rt.methods[pattern], http.MethodHead)
	}
}

// ServeHTTP implements http.Handler.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := otel.GetTextMapPropagator().Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx = bus.WithRequestID(ctx, r.Header.Get(HeaderRequestID))
	ctx, span := startSpan(ctx, r)
	r = r.WithContext(ctx)
	rec := &recorder{ResponseWriter: w}
	// After finish, which knows the status and may go on with a panic.
	defer func() { endSpan(span, r, rec) }()
	rec.Header().Set(HeaderRequestID, bus.RequestID(ctx))
	defer rt.finish(rec, r, start())
	if path.Clean(r.URL.Path) != r.URL.Path {
		// The library would redirect to a cleaned path, which may be another's.
		rt.unrouted(rec, r)
		return
	}
	rt.mux.ServeHTTP(rec, r)
}

// unrouted answers what no route serves.
func (rt *Router) unrouted(w http.ResponseWriter, r *http.Request) {
	_, pattern := rt.paths.Handler(r)
	allowed := rt.methods[pattern]
	if len(allowed) == 0 || path.Clean(r.URL.Path) != r.URL.Path {
		rt.fail(w, r, instance.Problemf(instance.CodeNotFound, "There is no such route."))
		return
	}
	slices.Sort(allowed)
	w.Header().Set("Allow", strings.Join(slices.Compact(slices.Clone(allowed)), ", "))
	rt.fail(w, r, instance.Problemf(instance.CodeMethodNotAllowed, "This route does not serve this method; the header Allow names those that it does."))
}
