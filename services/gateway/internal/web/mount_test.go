package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/gateway/internal/web"
)

// What is mounted answers its own errors, panics included, and only the name that
// it gives its route is told of it.
func TestAMountAnswersItsOwnErrors(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics, err := web.NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	rt := web.NewRouter(zap.New(core), metrics)
	rt.AllowOrigins([]string{"https://app.example.com"})
	rt.Mount(web.Mount{
		Match: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/theirs") },
		Serve: func(w http.ResponseWriter, r *http.Request) error {
			web.SetRoute(w, "/theirs/{token}")
			switch r.URL.Query().Get("end") {
			case "problem":
				return instance.Problemf(instance.CodeConflict, "No.")
			case "error":
				return errors.New("what happened")
			case "panic":
				panic("what was sent")
			}
			return web.NoContent(w)
		},
		Fail: func(w http.ResponseWriter, _ *http.Request, p *instance.Problem) {
			_ = web.Bytes(w, http.StatusTeapot, "text/plain", []byte(p.Code))
		},
	})
	for end, want := range map[string]string{"": "", "problem": "conflict", "error": "internal_error", "panic": "internal_error"} {
		rec := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "/theirs//secret-token?end="+end, nil)
		request.Header.Set("Origin", "https://other.example.com")
		rt.ServeHTTP(rec, request)
		if status := map[bool]int{true: 204, false: 418}[end == ""]; rec.Code != status || rec.Body.String() != want {
			t.Errorf("%q: %d %s", end, rec.Code, rec.Body)
		}
		if rec.Header().Get("Vary") != "" || rec.Header().Get("X-Request-Id") == "" {
			t.Errorf("%q: headers %v", end, rec.Header())
		}
	}
	rec := httptest.NewRecorder()
	rt.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/ours", nil))
	if rec.Code != 404 || rec.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("beside the mount: %d %s", rec.Code, rec.Body)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	for _, f := range families {
		told.WriteString(f.String())
	}
	for _, entry := range logs.All() {
		for key, value := range entry.ContextMap() {
			if text, ok := value.(string); ok {
				told.WriteString(key + text)
			}
		}
	}
	if strings.Contains(told.String(), "secret-token") || strings.Contains(told.String(), "what was sent") || !strings.Contains(told.String(), "/theirs/{token}") {
		t.Error("metrics or log tell of the path, or not of the route: " + told.String())
	}
}
