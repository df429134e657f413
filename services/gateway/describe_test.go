package gateway_test

import (
	"net/http"
	"testing"

	spec "pairgate.dev/proto"

	"pairgate.dev/pkg/instance"
	gateway "pairgate.dev/services/gateway"
)

func TestDescriptionsNeedAnyKey(t *testing.T) {
	w := start(t)
	m := w.make("one")
	for path, want := range map[string][]byte{"/openapi.yaml": spec.OpenAPI, "/asyncapi.yaml": spec.AsyncAPI} {
		w.send(http.MethodGet, path, "", "", nil).wantCode(401, instance.CodeUnauthorized)
		for _, token := range []string{adminKey, m.token} {
			got := w.send(http.MethodGet, path, token, "", nil).want(http.StatusOK)
			if string(got.body) != string(want) || got.header.Get("Content-Type") != "application/yaml" {
				t.Errorf("%s: %s, %d bytes", path, got.header.Get("Content-Type"), len(got.body))
			}
		}
	}
}

// HEAD of a stream answers with the headers, and does not stay for events that it could not tell.
func TestHeadOfAStreamEnds(t *testing.T) {
	w := start(t)
	m := w.make("one")
	for _, path := range []string{"/v1/events", m.path + "/events"} {
		got := w.admin(http.MethodHead, path, "").want(http.StatusOK)
		if got.header.Get("Content-Type") != "text/event-stream" || len(got.body) != 0 {
			t.Errorf("%s: %v", path, got.header)
		}
		// The connection serves the next request.
		w.admin(http.MethodGet, "/v1/instances", "").want(http.StatusOK)
	}
}

func TestRateLimitHeadersTellThePolicy(t *testing.T) {
	w := start(t, func(c *gateway.Config, _ *gateway.Deps) { c.RateLimit = 50 })
	got := w.admin(http.MethodGet, "/v1/instances", "").want(http.StatusOK)
	for name, want := range map[string]string{"RateLimit-Limit": "100", "RateLimit-Policy": "100;w=2", "RateLimit-Remaining": "99", "RateLimit-Reset": "1"} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
}
