package service

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"
)

// PropagateTraces makes W3C trace context (the headers traceparent and
// tracestate) what the process reads from requests and messages and puts into
// its own. It sets a global of OpenTelemetry, so only a program calls it, once.
func PropagateTraces() { otel.SetTextMapPropagator(propagation.TraceContext{}) }

// traceFlush bounds how long spans that are not sent yet may hold up the end of
// a process: a collector that is away must not.
const traceFlush = 400 * time.Millisecond

// StartTracing propagates traces and, where the environment asks for it, sends
// spans to a collector by OTLP over HTTP. It asks when OTEL_EXPORTER_OTLP_ENDPOINT
// or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, unless OTEL_SDK_DISABLED is true or
// OTEL_TRACES_EXPORTER is none. The other standard variables hold too: headers,
// sampler, batches, OTEL_SERVICE_NAME (default name), OTEL_RESOURCE_ATTRIBUTES.
//
// Trouble with the collector is logged as a warning and harms nothing else. The
// error is that of a bad setting. stop sends what is left, for less than half a second;
// call it once, when nothing makes spans any more. StartTracing sets globals of
// OpenTelemetry, so only a program calls it, once.
func StartTracing(ctx context.Context, name string, log *zap.Logger) (stop func(), err error) {
	PropagateTraces()
	if !tracesWanted() {
		return func() {}, nil
	}
	if protocol := firstEnv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is not offered; http/protobuf is", protocol)
	}
	// Before anything that may report through it.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing", zap.Error(err)) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	of, err := traceResource(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(of))
	otel.SetTracerProvider(provider)
	log.Info("sending traces")
	return func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), traceFlush)
		defer cancel()
		if err := provider.Shutdown(grace); err != nil {
			log.Warn("the last spans could not be sent", zap.Error(err))
		}
	}, nil
}

// traceResource says whose spans they are; what stands in the environment wins.
func traceResource(ctx context.Context, name string) (*resource.Resource, error) {
	ours := resource.WithAttributes(attribute.String("service.name", name), attribute.String("service.version", BuildInfo().Version))
	return resource.New(ctx, resource.WithTelemetrySDK(), ours, resource.WithFromEnv())
}

func tracesWanted() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return firstEnv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") != ""
}

func firstEnv(names ...string) string {
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}
