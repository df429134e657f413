package lanes

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

// startDelivery begins the span of one attempt in the trace of its event, which
// the receiver can continue. Where the event has no trace, none begins.
func startDelivery(ctx context.Context, traceparent string, record *pb.Delivery) (context.Context, trace.Span) {
	ctx = bus.WithTraceParent(ctx, traceparent)
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, trace.SpanFromContext(ctx)
	}
	return otel.Tracer("pairgate/webhook").Start(ctx, "deliver "+record.GetKind(), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("pairgate.webhook", record.GetWebhookId()), attribute.String("pairgate.instance", record.GetInstanceId()),
		attribute.String("pairgate.delivery", record.GetId()), attribute.Int64("pairgate.delivery.attempt", int64(record.GetAttempts())+1)))
}

// endDelivery ends it with what came of the attempt: never the address, which may hold a secret.
func endDelivery(span trace.Span, res sender.Result) {
	if res.StatusCode != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", res.StatusCode))
	}
	if !res.OK() {
		span.SetStatus(codes.Error, string(res.Error))
	}
	span.End()
}
