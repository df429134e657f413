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
	mounts     []Mount
	origins    []string // whose pages may use it; see AllowOrigins
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

// Routes lists what was added with Handle, as "GET /v1/instances", sorted. The HEAD
// that comes with each GET is not among them.
func (rt *Router) Routes() []string {
	var routes []string
	for pattern, methods := range rt.methods {
		for _, method := range methods {
			if method != http.MethodHead {
				routes = append(routes, method+" "+pattern)
			}
		}
	}
	slices.Sort(routes)
	return routes
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
	if rt.mounted(rec, r) || rt.cors(rec, r) {
		return
	}
	if path.Clean(r.URL.Path) != r.URL.Path {
		// The library would redirect to a cleaned path, which may be another's.
		rt.unrouted(rec, r)
		return
	}
	rt.mux.ServeHTTP(rec, r)
}

// allowed returns the methods of the route that serves the path, sorted; none when there is no such route.
func (rt *Router) allowed(r *http.Request) []string {
	if path.Clean(r.URL.Path) != r.URL.Path {
		return nil
	}
	_, pattern := rt.paths.Handler(r)
	return slices.Compact(slices.Sorted(slices.Values(rt.methods[pattern])))
}

// unrouted answers what no route serves.
func (rt *Router) unrouted(w http.ResponseWriter, r *http.Request) {
	allowed := rt.allowed(r)
	if len(allowed) == 0 {
		rt.fail(w, r, instance.Problemf(instance.CodeNotFound, "There is no such route."))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	rt.fail(w, r, instance.Problemf(instance.CodeMethodNotAllowed, "This route does not serve this method; the header Allow names those that it does."))
}
