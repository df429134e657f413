package service_test

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.uber.org/zap"

	"pairgate.dev/pkg/service"
)

func TestOpsServesUntilItsContextEnds(t *testing.T) {
	reg, health := service.NewMetrics(), service.NewHealth()
	for _, name := range []string{"a", "b"} {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "same_total", Help: "Registered by two services."})
		service.ForService(reg, name).MustRegister(c)
	}
	ops, err := service.NewOps("127.0.0.1:0", service.OpsHandler(health, reg, zap.NewAtomicLevel()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- ops.Serve(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string) {
		t.Helper()
		resp, err := client.Get("http://" + ops.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/healthz":  {200, "alive"},
		"/readyz":   {503, "starting"},
		"/metrics":  {200, `same_total{service="b"} 0`},
		"/loglevel": {200, "info"},
		"/other":    {404, ""},
	} {
		if status, body := get(path); status != want.status || !strings.Contains(body, want.text) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, body := get("/metrics"); !strings.Contains(body, "go_goroutines") || !strings.Contains(body, "pairgate_build_info{") {
		t.Error("no runtime or build metrics")
	}
	if _, err := service.NewOps(ops.Addr(), http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "PAIRGATE_METRICS_ADDR") {
		t.Errorf("a taken address: %v", err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestVersionIsAlwaysSemantic(t *testing.T) {
	b := service.BuildInfo()
	if !regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`).MatchString(b.Version) || b.Go == "" {
		t.Errorf("got %+v", b)
	}
	if !strings.HasPrefix(b.String(), b.Version+" (") {
		t.Errorf("got %s", b)
	}
}

func TestTraceContextIsPropagated(t *testing.T) {
	service.PropagateTraces()
	in := propagation.MapCarrier{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
	ctx := otel.GetTextMapPropagator().Extract(t.Context(), in)
	if f := service.TraceID(ctx); f.Interface == nil {
		t.Error("no trace in the context")
	}
	out := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, out)
	if out["traceparent"] != in["traceparent"] {
		t.Errorf("got %v", out)
	}
}
