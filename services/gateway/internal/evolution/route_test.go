package evolution

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func request(t testing.TB, method, target string) *http.Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil
	}
	r := httptest.NewRequest(method, "/", nil)
	r.URL, r.RequestURI = u, target
	return r
}

// Only the product's own first segments are taken, in any case.
func TestOnlyTheProductsPathsAreTaken(t *testing.T) {
	for target, want := range map[string]bool{
		"/instance/create": true, "/INSTANCE/Create/": true, "/message/sendText/x": true, "/manager": true, "/evolutionBot/create/x": true,
		"/": false, "/v1/instances": false, "/waInstance1/getSettings/x": false, "/instances": false, "/console/new": false, "/healthz": false,
		"/instance%2Fcreate": false, "//instance/create": false, "/metrics": false,
	} {
		if got := matches(request(t, http.MethodGet, target)); got != want {
			t.Errorf("%s is taken: %v", target, got)
		}
	}
	if !matches(request(t, http.MethodOptions, "/")) {
		t.Error("the preflight of the root is not taken")
	}
}

// A name in a path is decoded, and is never taken for another part of it.
func TestNamesInPaths(t *testing.T) {
	for target, want := range map[string]string{
		"/instance/connect/foo":          "/instance/connect/{name} foo",
		"/instance/connect/foo/":         "/instance/connect/{name} foo",
		"/instance/CONNECT/Foo%20Bar":    "/instance/connect/{name} Foo Bar",
		"/instance/connect/a%2Fb":        "/instance/connect/{name} a/b",
		"/instance/connect/{name}":       "/instance/connect/{name} {name}",
		"/instance/fetchInstances":       "/instance/fetchinstances ",
		"/instance/connect/":             "",
		"/instance/connect/a/b":          "",
		"/instance/connect//":            "",
		"/instance//connect/a":           "",
		"/instance/fetchInstances/%2F":   "",
		"/instance/connect%2Fx":          "",
		"/instance/connect/{name}/extra": "",
	} {
		rt, name := find(http.MethodGet, segments(request(t, http.MethodGet, target)))
		got := ""
		if rt != nil {
			got = rt.path + " " + name
		}
		if got != want {
			t.Errorf("%s is %q, want %q", target, got, want)
		}
	}
}

func FuzzPaths(f *testing.F) {
	for _, seed := range []string{"/instance/connect/foo", "/%", "/instance/%2e%2e/create", "/webhook/find/%00", "/nats/set/{name}", "//"} {
		f.Add(http.MethodPost, seed)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		if !strings.HasPrefix(target, "/") {
			return
		}
		r := request(t, http.MethodGet, target)
		if r == nil {
			return // no request has this path
		}
		r.Method = method
		matches(r)
		rt, name := find(r.Method, segments(r))
		if rt != nil && (name != "") != strings.HasSuffix(rt.path, named) {
			t.Fatalf("%s is route %s with name %q", target, rt.path, name)
		}
	})
}
