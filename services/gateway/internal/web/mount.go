package web

import (
	"net/http"

	"pairgate.dev/pkg/instance"
)

// Mount is a part of the router with its own paths, cross-origin rules and errors:
// the face of a product that is imitated down to these.
type Mount struct {
	// Match says whether a request is the mount's. It is asked before everything
	// else, in the order in which mounts were added.
	Match func(r *http.Request) bool
	// Serve serves it. It names the route with SetRoute.
	Serve Handler
	// Fail answers an error of Serve, or a panic, when nothing was written before.
	Fail func(w http.ResponseWriter, r *http.Request, p *instance.Problem)
}

// Mount adds a mount. Add it before the first request.
func (rt *Router) Mount(m Mount) { rt.mounts = append(rt.mounts, m) }

// mounted serves the request by the mount that matches, if there is one.
func (rt *Router) mounted(rec *recorder, r *http.Request) bool {
	for i := range rt.mounts {
		if !rt.mounts[i].Match(r) {
			continue
		}
		rec.mount = &rt.mounts[i]
		if err := rec.mount.Serve(rec, r); err != nil {
			rt.fail(rec, r, err)
		}
		return true
	}
	return false
}

// SetRoute tells how metrics, traces and the log call what serves the request. The
// name must be one of few, and no part of the path that a caller makes up.
func SetRoute(w http.ResponseWriter, route string) {
	if rec, ok := w.(*recorder); ok {
		rec.route = route
	}
}
