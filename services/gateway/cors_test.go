package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"pairgate.dev/pkg/instance"
	gateway "pairgate.dev/services/gateway"
	"pairgate.dev/services/gateway/internal/web"
)

const page = "https://app.example.com"

func origins(list ...string) option {
	return func(c *gateway.Config, _ *gateway.Deps) { c.CORSOrigins = list }
}

func preflight(origin, method string) http.Header {
	return http.Header{"Origin": {origin}, "Access-Control-Request-Method": {method}, "Access-Control-Request-Headers": {"authorization"}}
}

func TestPagesOfOtherOriginsAreRefusedUnlessTheyAreListed(t *testing.T) {
	w := start(t, origins(page))
	for _, origin := range []string{"https://evil.example.com", page + ".evil.com", "http://app.example.com", "null"} {
		got := w.send(http.MethodOptions, "/v1/instances", "", "", preflight(origin, "POST")).wantCode(405, instance.CodeMethodNotAllowed)
		checkNoCORS(t, got)
		checkNoCORS(t, w.send(http.MethodGet, "/v1/instances", adminKey, "", http.Header{"Origin": {origin}}).want(http.StatusOK))
	}
	got := w.send(http.MethodOptions, "/v1/instances", "", "", preflight(page, "POST")).want(http.StatusNoContent)
	for name, want := range map[string]string{"Access-Control-Allow-Origin": page, "Access-Control-Allow-Methods": "GET, HEAD, POST",
		"Access-Control-Max-Age": "7200", "Vary": "Origin", "Access-Control-Allow-Credentials": ""} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	for _, name := range []string{"Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"} {
		if !slices.Contains(strings.Split(got.header.Get("Access-Control-Allow-Headers"), ", "), name) {
			t.Errorf("a page may not send %s", name)
		}
	}
	w.send(http.MethodOptions, "/v1/nothing", "", "", preflight(page, "POST")).wantCode(404, instance.CodeNotFound)
	w.send(http.MethodOptions, "/v1/instances", "", "", http.Header{"Origin": {page}}).wantCode(405, instance.CodeMethodNotAllowed)
}

// A page must be able to read why it was refused.
func TestPagesReadErrorsToo(t *testing.T) {
	w := start(t, origins(page), func(c *gateway.Config, _ *gateway.Deps) { c.RateLimit = 1 })
	h := http.Header{"Origin": {page}}
	for _, got := range []answer{
		w.send(http.MethodGet, "/v1/instances", "", "", h).wantCode(401, instance.CodeUnauthorized),
		w.send(http.MethodGet, "/v1/nothing", "", "", h).wantCode(404, instance.CodeNotFound),
		w.send(http.MethodGet, "/v1/instances", adminKey, "", h).want(http.StatusOK),
	} {
		if got.header.Get("Access-Control-Allow-Origin") != page {
			t.Errorf("%d without %q", got.status, "Access-Control-Allow-Origin")
		}
		exposed := strings.Split(got.header.Get("Access-Control-Expose-Headers"), ", ")
		for name := range got.header {
			own := strings.HasPrefix(name, "Ratelimit-") || name == "X-Request-Id" || name == "Www-Authenticate"
			if own && !slices.ContainsFunc(exposed, func(e string) bool { return strings.EqualFold(e, name) }) {
				t.Errorf("a page can not read %s", name)
			}
		}
	}
	// What a cache keeps without a page must not be given to one.
	if got := w.send(http.MethodGet, "/healthz", "", "", nil); got.header.Get("Vary") != "Origin" || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", got.header)
	}
}

func TestAnyPageMayUseItWhereAllAreListed(t *testing.T) {
	w := start(t, origins("*"))
	got := w.send(http.MethodGet, "/v1/instances", adminKey, "", http.Header{"Origin": {"https://any.example.com"}}).want(http.StatusOK)
	if got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("Vary") != "" {
		t.Errorf("%v", got.header)
	}
	w.send(http.MethodOptions, "/v1/events", "", "", preflight("https://any.example.com", "GET")).want(http.StatusNoContent)
}

func TestNoPageMayUseItByDefault(t *testing.T) {
	w := start(t)
	got := w.send(http.MethodOptions, "/v1/instances", "", "", preflight(page, "POST")).wantCode(405, instance.CodeMethodNotAllowed)
	checkNoCORS(t, got)
	if got.header.Get("Vary") != "" {
		t.Errorf("%v", got.header)
	}
}

func checkNoCORS(t *testing.T, got answer) {
	t.Helper()
	for name := range got.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: %q", name, got.header.Get(name))
		}
	}
}

func TestOriginsThatNoBrowserSendsAreRefusedAtStart(t *testing.T) {
	for text, valid := range map[string]bool{
		"*": true, page: true, "http://localhost:3000": true, "http://[::1]:3000": true, "chrome-extension://abcdef": true, "https://example.com:80": true,
		"": false, "null": false, "app.example.com": false, "https://": false, page + "/": false, page + "/app": false, "https://App.example.com": false,
		"https://example.com:443": false, "http://example.com:80": false, "https://example.com:": false, "https://user@example.com": false,
		"https://*.example.com?": false, " " + page: false,
	} {
		if web.ValidOrigin(text) != valid {
			t.Errorf("%q valid: %v", text, !valid)
		}
		cfg, bad := gateway.Config{CORSOrigins: []string{page, text}}, ""
		cfg.Check(func(variable, _ string) { bad += variable })
		if (bad == "") != valid || bad != "" && bad != "PAIRGATE_CORS_ORIGINS" {
			t.Errorf("%q at start: %q", text, bad)
		}
	}
}
