package standalone_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/service"
)

// TestOneLinkingIsOneTrace follows a linking from the HTTP request that asked for
// it, through the registry's record, the worker, the messenger and the renderer,
// to the webhooks that tell of it.
func TestOneLinkingIsOneTrace(t *testing.T) {
	const caller, callerSpan = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(provider)
	service.PropagateTraces()
	defer otel.SetTracerProvider(before)

	o := observe(t, "00-"+caller+"-"+callerSpan+"-01")

	// Each is a way from the caller's request; a span ends a moment after what it tells of is seen.
	const toWorker = "POST /v1/instances/{ref}/connect > request pairgate.v1.instances.connect > serve pairgate.v1.instances.connect > session"
	ways := []string{
		toWorker + " > pair simulated",
		toWorker + " > publish code > draw code > publish qr > deliver qr",
		toWorker + " > publish status > deliver status",
	}
	var tree forest
	bustest.CheckFor(t, 30*time.Second, func() error {
		tree = grow(spans.GetSpans(), caller)
		for _, way := range ways {
			if !tree.has(callerSpan, strings.Split(way, " > ")) {
				return fmt.Errorf("no way %s in\n%s", way, tree.draw(callerSpan, 1))
			}
		}
		return nil
	})
	t.Logf("the trace of one linking:\n%s", tree.draw(callerSpan, 1))

	delivered := map[string]bool{}
	for _, s := range spans.GetSpans() {
		if strings.HasPrefix(s.Name, "deliver ") {
			delivered["00-"+s.SpanContext.TraceID().String()+"-"+s.SpanContext.SpanID().String()+"-01"] = true
		}
		for _, a := range s.Attributes {
			if strings.Contains(a.Value.String(), o.phone) {
				t.Errorf("the span %s tells a phone number in %s", s.Name, a.Key)
			}
		}
	}
	for _, w := range o.webhooks("status") {
		parent := w.Header.Get("traceparent")
		if !delivered[parent] {
			t.Errorf("a webhook of %s carries the traceparent %q, which is that of no delivery", w.Phase, parent)
		}
		if w.Phase != "idle" && !strings.Contains(parent, caller) {
			t.Errorf("the webhook of %s belongs to another trace: %s", w.Phase, parent)
		}
	}
}

// forest holds the spans of a trace by their parent.
type forest map[string]tracetest.SpanStubs

func grow(spans tracetest.SpanStubs, traceID string) forest {
	f := forest{}
	for _, s := range spans {
		if s.SpanContext.TraceID().String() == traceID {
			f[s.Parent.SpanID().String()] = append(f[s.Parent.SpanID().String()], s)
		}
	}
	for _, children := range f {
		slices.SortFunc(children, func(a, b tracetest.SpanStub) int { return cmp.Compare(a.StartTime.UnixNano(), b.StartTime.UnixNano()) })
	}
	return f
}

// has says whether spans of these names descend from the parent, one from the other.
func (f forest) has(parent string, names []string) bool {
	if len(names) == 0 {
		return true
	}
	return slices.ContainsFunc(f[parent], func(s tracetest.SpanStub) bool {
		return s.Name == names[0] && f.has(s.SpanContext.SpanID().String(), names[1:])
	})
}

func (f forest) draw(parent string, depth int) string {
	var b strings.Builder
	for _, s := range f[parent] {
		fmt.Fprintf(&b, "%s%s", strings.Repeat("   ", depth), s.Name)
		if s.SpanKind != trace.SpanKindInternal {
			fmt.Fprintf(&b, " (%s)", s.SpanKind)
		}
		fmt.Fprintf(&b, " %s", s.EndTime.Sub(s.StartTime).Round(100*time.Microsecond))
		for _, e := range s.Events {
			fmt.Fprintf(&b, " · %s", e.Name)
			for _, a := range e.Attributes {
				fmt.Fprintf(&b, " %s", a.Value.String())
			}
		}
		b.WriteString("\n" + f.draw(s.SpanContext.SpanID().String(), depth+1))
	}
	return b.String()
}
