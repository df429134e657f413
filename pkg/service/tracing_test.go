package service_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.uber.org/zap"

	"pairgate.dev/pkg/service"
)

// tracing keeps the globals of OpenTelemetry as they were before the test.
func tracing(t *testing.T) {
	provider := otel.GetTracerProvider()
	t.Cleanup(func() { otel.SetTracerProvider(provider) })
	for _, name := range []string{"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
		t.Setenv(name, "")
	}
}

func TestSpansAreSentWhereTheEnvironmentSays(t *testing.T) {
	tracing(t)
	got := make(chan []byte, 8)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		got <- body
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	stop, err := service.StartTracing(t.Context(), "some-service", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	_, span := otel.Tracer("test").Start(t.Context(), "a span of ours")
	span.End()
	stop()
	select {
	case body := <-got:
		for _, want := range []string{"a span of ours", "some-service", "service.version", "deployment.environment"} {
			if !bytes.Contains(body, []byte(want)) {
				t.Errorf("no %q in what was sent", want)
			}
		}
	default:
		t.Error("nothing was sent before stop returned")
	}
}

func TestNoTracesAreMadeUnlessTheEnvironmentSays(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"no endpoint": {},
		"disabled":    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
		"no exporter": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
	} {
		t.Run(name, func(t *testing.T) {
			tracing(t)
			for k, v := range env {
				t.Setenv(k, v)
			}
			stop, err := service.StartTracing(t.Context(), "some-service", zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			if _, span := otel.Tracer("test").Start(t.Context(), "a span"); span.IsRecording() {
				t.Error("a span is recorded")
			}
		})
	}
}

func TestAProtocolThatIsNotOfferedIsRefused(t *testing.T) {
	tracing(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	if _, err := service.StartTracing(t.Context(), "some-service", zap.NewNop()); err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_PROTOCOL") {
		t.Errorf("got %v", err)
	}
}

// A collector that hangs must not make the drain longer than it may be.
func TestACollectorThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	tracing(t)
	hang, release := context.WithCancel(context.Background())
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang.Done() }))
	defer collector.Close()
	defer release()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	stop, err := service.StartTracing(t.Context(), "some-service", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	_, span := otel.Tracer("test").Start(t.Context(), "a span")
	span.End()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	select {
	case <-stopped:
	case <-time.After(30 * time.Second):
		t.Fatal("it waits for the collector")
	}
}
