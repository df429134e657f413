package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	gateway "pairgate.dev/services/gateway"
)

func TestWhoReachesWhat(t *testing.T) {
	w := start(t)
	mine, other := w.make("mine"), w.make("other")
	for _, tt := range []struct {
		name, method, path, token string
		status                    int
	}{
		{"no token", "GET", "/v1/instances", "", 401},
		{"unknown token", "GET", "/v1/instances", strings.Repeat("x", 50), 401},
		{"unknown token, unknown instance", "GET", "/v1/instances/nothing", strings.Repeat("x", 50), 401},
		{"admin key with a letter more", "GET", "/v1/instances", adminKey + "x", 401},
		{"admin lists", "GET", "/v1/instances", adminKey, 200},
		{"admin, unknown instance", "GET", "/v1/instances/nothing", adminKey, 404},
		{"own by id", "GET", mine.path, mine.token, 200},
		{"own by name", "GET", "/v1/instances/mine", mine.token, 200},
		{"own by number", "GET", "/v1/instances/9000000000", mine.token, 200},
		{"own status", "GET", mine.path + "/status", mine.token, 200},
		{"own webhooks", "GET", mine.path + "/webhooks", mine.token, 200},
		{"another's", "GET", other.path, mine.token, 403},
		{"another's by name", "GET", "/v1/instances/other", mine.token, 403},
		{"another's by number", "GET", "/v1/instances/9000000001", mine.token, 403},
		{"what does not exist looks like another's", "GET", "/v1/instances/nothing", mine.token, 403},
		{"delete another's", "DELETE", other.path, mine.token, 403},
		{"connect another's", "POST", other.path + "/connect", mine.token, 403},
		{"another's events", "GET", other.path + "/events", mine.token, 403},
		{"create", "POST", "/v1/instances", mine.token, 403},
		{"list", "GET", "/v1/instances", mine.token, 403},
		{"all events", "GET", "/v1/events", mine.token, 403},
		{"webhooks of all", "GET", "/v1/webhooks", mine.token, 403},
		{"metrics without a key", "GET", "/metrics", "", 401},
		{"metrics with an instance's token", "GET", "/metrics", mine.token, 401},
		{"metrics", "GET", "/metrics", adminKey, 200},
		{"alive", "GET", "/healthz", "", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{TB: t, url: w.url}
			got := w.send(tt.method, tt.path, tt.token, "", nil).want(tt.status)
			if (got.header.Get("WWW-Authenticate") != "") != (tt.status == 401) {
				t.Errorf("WWW-Authenticate: %q", got.header.Get("WWW-Authenticate"))
			}
		})
	}
	for _, header := range []string{"Basic " + adminKey, adminKey, "Bearer", "Bearer ", "bearer"} {
		w.send(http.MethodGet, "/v1/instances", "", "", http.Header{"Authorization": {header}}).wantCode(401, instance.CodeUnauthorized)
	}
	w.send(http.MethodGet, "/v1/instances", "", "", http.Header{"Authorization": {"bearer " + adminKey}}).want(http.StatusOK)
}

func TestTheOldTokenIsDeadWhenTheNewOneIsTold(t *testing.T) {
	w := start(t)
	m := w.make("one")
	rotated := w.send(http.MethodPost, m.path+"/token", m.token, "", nil).want(http.StatusOK).json()
	fresh, _ := rotated["token"].(string)
	if _, told := rotated["revision"]; told || fresh == "" {
		t.Errorf("%v", rotated)
	}
	w.send(http.MethodGet, m.path, m.token, "", nil).wantCode(401, instance.CodeUnauthorized)
	w.send(http.MethodGet, m.path, fresh, "", nil).want(http.StatusOK)
	w.send(http.MethodDelete, m.path, fresh, "", nil).want(http.StatusNoContent)
	w.send(http.MethodGet, m.path, fresh, "", nil).wantCode(401, instance.CodeUnauthorized)
}

func TestAnUnknownTokenIsAskedForOnce(t *testing.T) {
	w := start(t)
	for range 5 {
		w.send(http.MethodGet, "/v1/instances", strings.Repeat("y", 50), "", nil).wantCode(401, instance.CodeUnauthorized)
	}
	// More than one only when this machine took longer than the memory lasts.
	if n := w.registry.count(bus.SubjectInstancesResolveToken); n < 1 || n > 4 {
		t.Errorf("the registry was asked %d times", n)
	}
}

func TestRateLimitIsPerToken(t *testing.T) {
	w := start(t, func(c *gateway.Config, _ *gateway.Deps) { c.RateLimit = 1 })
	m := w.make("one")
	var limited answer
	for range 10 {
		if limited = w.send(http.MethodGet, m.path, m.token, "", nil); limited.status != http.StatusOK {
			break
		}
	}
	limited.wantCode(429, instance.CodeTooManyRequests)
	if limited.header.Get("Retry-After") != "1" || limited.header.Get("Ratelimit-Limit") != "2" || limited.header.Get("Ratelimit-Remaining") != "0" {
		t.Errorf("%v", limited.header)
	}
	w.send(http.MethodGet, "/healthz", "", "", nil).want(http.StatusOK)
	if got := w.admin(http.MethodGet, m.path, ""); got.status != http.StatusOK {
		t.Errorf("another token is limited too: %s", got.body)
	}
}

func TestNoLimitWhenItIsZero(t *testing.T) {
	w := start(t)
	got := w.admin(http.MethodGet, "/v1/instances", "").want(http.StatusOK)
	if got.header.Get("Ratelimit-Limit") != "" {
		t.Errorf("%v", got.header)
	}
}

func TestRequestIDsAndRoutes(t *testing.T) {
	w := start(t)
	m := w.make("one")
	got := w.send(http.MethodGet, m.path, adminKey, "", http.Header{"X-Request-Id": {"mine-1"}}).want(http.StatusOK)
	if got.header.Get("X-Request-Id") != "mine-1" {
		t.Errorf("%v", got.header)
	}
	if got := w.send(http.MethodGet, m.path, adminKey, "", http.Header{"X-Request-Id": {strings.Repeat("x", 300)}}); len(got.header.Get("X-Request-Id")) > 128 {
		t.Error("any request id is passed on")
	}
	for _, path := range []string{"/v1", "/v1/instances/", "/v1/nothing", m.path + "/nothing", "/v1//instances", "/v1/instances/../instances"} {
		w.send(http.MethodGet, path, adminKey, "", nil).wantCode(404, instance.CodeNotFound)
	}
	for path, allow := range map[string]string{
		"/v1/instances": "GET, HEAD, POST", m.path: "DELETE, GET, HEAD, PATCH", m.path + "/connect": "POST", m.path + "/qr.png": "GET, HEAD", "/healthz": "GET, HEAD",
	} {
		got := w.send(http.MethodPut, path, adminKey, "", nil).wantCode(405, instance.CodeMethodNotAllowed)
		if got.header.Get("Allow") != allow {
			t.Errorf("%s: Allow %q, want %q", path, got.header.Get("Allow"), allow)
		}
	}
	metrics := string(w.admin(http.MethodGet, "/metrics", "").want(http.StatusOK).body)
	if !strings.Contains(metrics, `pairgate_http_requests_total{method="GET",route="/v1/instances/{ref}",status="2xx"}`) ||
		strings.Contains(metrics, string(m.id)) {
		t.Error("metrics do not name the pattern of the route, or name an instance")
	}
}
