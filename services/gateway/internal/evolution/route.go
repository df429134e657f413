package evolution

import (
	"net/http"
	"net/url"
	"strings"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/web"
)

// call is a request to a route.
type call struct {
	w   http.ResponseWriter
	r   *http.Request
	who caller
	// one is the instance of the path; nil where there is none in it.
	one *pb.Instance
}

func (c *call) id() instance.ID { return instance.ID(c.one.GetId()) }

// route is one of the product's routes. path is in lower case, as paths are
// compared, and ends in a name where the route is about an instance.
type route struct {
	method, path string
	guard        guard
	serve        func(*API, *call) error
}

type guard int

const (
	// ofInstance lets the global key in, and the token of the instance in the path.
	ofInstance guard = iota
	// globalOnly lets the global key in alone.
	globalOnly
	// anyKey lets every key in.
	anyKey
)

// named ends the path of a route about an instance.
const named = "/{name}"

var routes = append([]route{
	{"POST", "/verify-creds", globalOnly, (*API).verifyCreds},
	{"POST", "/instance/create", globalOnly, (*API).create},
	{"GET", "/instance/fetchinstances", anyKey, (*API).fetchInstances},
	{"GET", "/instance/connect" + named, ofInstance, (*API).connect},
	{"POST", "/instance/connect" + named, ofInstance, (*API).connect},
	{"GET", "/instance/connectionstate" + named, ofInstance, (*API).connectionState},
	{"POST", "/instance/restart" + named, ofInstance, (*API).restart},
	{"PUT", "/instance/restart" + named, ofInstance, (*API).restart},
	{"DELETE", "/instance/logout" + named, ofInstance, (*API).logout},
	{"DELETE", "/instance/delete" + named, ofInstance, (*API).delete},
	{"POST", "/instance/setpresence" + named, ofInstance, (*API).setPresence},
	{"POST", "/settings/set" + named, ofInstance, (*API).setSettings},
	{"GET", "/settings/find" + named, ofInstance, (*API).findSettings},
	{"POST", "/webhook/set" + named, ofInstance, (*API).setWebhook},
	{"GET", "/webhook/find" + named, ofInstance, (*API).findWebhook},
	{"POST", "/proxy/set" + named, ofInstance, (*API).setProxy},
	{"GET", "/proxy/find" + named, ofInstance, (*API).findProxy},
}, neighbourRoutes()...)

// segments are the parts of a path, decoded, with at most one slash at its end left
// out. Empty parts inside stay, and match nothing.
func segments(r *http.Request) []string {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i, part := range parts {
		if decoded, err := url.PathUnescape(part); err == nil {
			parts[i] = decoded
		}
	}
	return parts
}

// matches says whether the first segment of the path is one of the product's.
func matches(r *http.Request) bool {
	parts := segments(r)
	if len(parts) == 1 && parts[0] == "" {
		return r.Method == http.MethodOptions && r.URL.Path == "/" // the preflight of GET /
	}
	return families[strings.ToLower(parts[0])] != family{}
}

// route serves the request by its route.
func (a *API) route(w http.ResponseWriter, r *http.Request) error {
	parts := segments(r)
	rt, name := find(r.Method, parts)
	if rt == nil {
		return a.noRoute(w, r, parts)
	}
	web.SetRoute(w, rt.path)
	who, err := a.authenticate(w, r)
	if err != nil {
		return err
	}
	c := &call{w: w, r: r, who: who}
	switch {
	case rt.guard == globalOnly && !who.global:
		return errUnauthorized
	case rt.guard == ofInstance:
		if c.one, err = a.reach(r.Context(), who, name); err != nil {
			return err
		}
	}
	return rt.serve(a, c)
}

// find returns the route of a path, and the name of the instance in it; nil when there
// is none. A GET route serves HEAD too.
func find(method string, parts []string) (rt *route, name string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	last := len(parts) - 1
	fixed, parent := "/"+strings.ToLower(strings.Join(parts, "/")), "/"+strings.ToLower(strings.Join(parts[:last], "/"))
	for i := range routes {
		rt := &routes[i]
		if rt.method != method {
			continue
		}
		// Names are not part of the comparison, so that none can be taken for a path.
		base, ofOne := strings.CutSuffix(rt.path, named)
		if !ofOne && rt.path == fixed {
			return rt, ""
		}
		if ofOne && parts[last] != "" && base == parent {
			return rt, parts[last]
		}
	}
	return nil, ""
}
