package service

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
)

// PropagateTraces makes W3C trace context (the headers traceparent and
// tracestate) what the process reads from requests and messages and puts into
// its own. It sets a global of OpenTelemetry, so only a program calls it, once.
func PropagateTraces() { otel.SetTextMapPropagator(propagation.TraceContext{}) }
