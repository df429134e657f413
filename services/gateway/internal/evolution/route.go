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
	fixed, name := "/"+strings.ToLower(strings.Join(parts, "/")), ""
	rt := find(r.Method, fixed, false)
	if rt == nil && len(parts) > 1 && parts[len(parts)-1] != "" {
		name = parts[len(parts)-1]
		rt = find(r.Method, "/"+strings.ToLower(strings.Join(parts[:len(parts)-1], "/"))+named, true)
	}
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

// find returns the route; nil when there is none. A GET route serves HEAD too.
func find(method, path string, ofOne bool) *route {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range routes {
		if routes[i].method == method && routes[i].path == path && strings.HasSuffix(path, named) == ofOne {
			return &routes[i]
		}
	}
	return nil
}
