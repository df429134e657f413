package bus

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"pairgate.dev/pkg/instance"
)

// headerTraceParent is the W3C name of the trace context.
const headerTraceParent = "traceparent"

// TraceParent returns the trace that ctx belongs to as a W3C traceparent, for
// what is kept and acted on later; "" when it belongs to none.
func TraceParent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagator.Inject(ctx, c)
	return c[headerTraceParent]
}

// WithTraceParent returns ctx as part of the trace; ctx itself when the text is
// no trace context.
func WithTraceParent(ctx context.Context, traceparent string) context.Context {
	return propagator.Extract(ctx, propagation.MapCarrier{headerTraceParent: traceparent})
}

// StartPublish starts the span of storing an event and writes its context into
// the message, so that whoever acts on the event continues the trace. End it with
// EndSpan. Where ctx belongs to no trace, none begins and the span is inert.
func StartPublish(ctx context.Context, m *nats.Msg) (context.Context, trace.Span) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, trace.SpanFromContext(context.Background())
	}
	ctx, span := tracer().Start(ctx, "publish "+kindOf(m.Subject), trace.WithSpanKind(trace.SpanKindProducer), messageAttributes(m.Subject))
	InjectTrace(ctx, m)
	return ctx, span
}

// StartProcess starts the span of acting on a stored event, in the trace that its
// headers tell of. what names the deed, such as "draw". End it with EndSpan. Where
// the headers tell of no trace, none begins and the span is inert.
func StartProcess(ctx context.Context, what, subject string, h nats.Header) (context.Context, trace.Span) {
	ctx = ExtractTrace(ctx, h)
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, trace.SpanFromContext(context.Background())
	}
	return tracer().Start(ctx, what+" "+kindOf(subject), trace.WithSpanKind(trace.SpanKindConsumer), messageAttributes(subject))
}

// EndSpan ends a span as failed when err is not nil. Of the error only the code
// of a problem is shown.
func EndSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, string(instance.AsProblem(err).Code))
	}
	span.End()
}

// kindOf keeps ids out of the names of spans.
func kindOf(subject string) string {
	if _, kind, ok := ParseEventSubject(subject); ok {
		return string(kind)
	}
	return "message"
}

func messageAttributes(subject string) trace.SpanStartEventOption {
	attributes := []attribute.KeyValue{attribute.String("messaging.system", "nats"), attribute.String("messaging.destination.name", subject)}
	if id, _, ok := ParseEventSubject(subject); ok {
		attributes = append(attributes, attribute.String("pairgate.instance", string(id)))
	}
	return trace.WithAttributes(attributes...)
}

// traceField is the log field for the trace of ctx; nothing when it has none.
func traceField(ctx context.Context) zap.Field {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		return zap.Stringer("trace", sc.TraceID())
	}
	return zap.Skip()
}
