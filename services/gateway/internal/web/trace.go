package web

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"pairgate.dev/pkg/bus"
)

// startSpan begins the span of a request, in the caller's trace if it has one.
// Neither the path nor the query is told: names of instances stand in them.
func startSpan(ctx context.Context, r *http.Request) (context.Context, trace.Span) {
	return otel.Tracer("pairgate/http").Start(ctx, methodLabel(r.Method), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", methodLabel(r.Method)), attribute.String("pairgate.request", bus.RequestID(ctx))))
}

// endSpan ends it, named after the route that served it.
func endSpan(span trace.Span, r *http.Request, rec *recorder) {
	if rec.route != "" {
		span.SetName(methodLabel(r.Method) + " " + rec.route)
		span.SetAttributes(attribute.String("http.route", rec.route))
	}
	span.SetAttributes(attribute.Int("http.response.status_code", rec.status))
	if rec.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(rec.status))
	}
	span.End()
}
