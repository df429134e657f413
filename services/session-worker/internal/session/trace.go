package session

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// episode is the span of what a session does in one go: from a wish, whose trace
// it continues, or from something that happened by itself, until the session is
// in a phase that lasts. It is used by the actor's goroutine only.
type episode struct {
	ctx  context.Context
	span trace.Span
	// driving is the span of the open session, from its opening until it is
	// connected or closed.
	driving trace.Span
	// seen is the last request whose trace was continued.
	seen uint64
	// settled says that the status just told is one that lasts.
	settled bool
}

func tracer() trace.Tracer { return otel.Tracer("pairgate/session") }

// observe begins an episode when the input brings a new wish.
func (e *episode) observe(a *Actor, in instance.Input) {
	var wish instance.Wish
	switch in := in.(type) {
	case instance.Adopt:
		wish = in.Wish
		if in.Last != nil {
			e.seen = in.Last.ObservedRequest
		}
	case instance.WishChanged:
		wish = in.Wish
	default:
		return
	}
	if wish.Last() <= e.seen {
		return
	}
	e.seen = wish.Last()
	e.end()
	e.begin(a, bus.WithTraceParent(a.ctx, a.host.Record().GetTraceparent()))
}

func (e *episode) begin(a *Actor, parent context.Context) {
	e.ctx, e.span = tracer().Start(parent, "session", trace.WithAttributes(
		attribute.String("pairgate.instance", string(a.ID)), attribute.Int64("pairgate.wish", int64(e.seen)),
		attribute.Int64("pairgate.epoch", int64(a.Epoch))))
}

// traced returns the actor's context in the trace of what it does, which begins
// here when it does something by itself.
func (a *Actor) traced() context.Context {
	if a.trace.span == nil {
		a.trace.begin(a, a.ctx)
	}
	return a.trace.ctx
}

// told notes a status that was published.
func (e *episode) told(s instance.Status) {
	e.span.AddEvent("phase", trace.WithAttributes(attribute.String("phase", string(s.Phase)), attribute.String("reason", string(s.Reason))))
	e.settled = lasts(s.Phase)
}

// rest ends the episode when the status that was told last is one that lasts.
func (e *episode) rest() {
	if e.settled {
		e.end()
	}
}

func (e *episode) end() {
	e.driven()
	if e.span != nil {
		e.span.End()
	}
	e.ctx, e.span, e.settled = nil, nil, false
}

// lasts says whether a session stays in the phase until something happens.
func lasts(p instance.Phase) bool {
	switch p {
	case instance.Connecting, instance.Pairing, instance.PasswordRequired, instance.PasskeyRequired, instance.Syncing, instance.Offline:
		return false
	}
	return true
}

// drive begins the span of a session with the messenger.
func (e *episode) drive(a *Actor, what string) (context.Context, trace.Span) {
	e.driven()
	provider := a.host.Record().GetInstance().GetProvider()
	ctx, span := tracer().Start(a.traced(), what+" "+provider, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("pairgate.instance", string(a.ID)), attribute.String("pairgate.provider", provider)))
	e.driving = span
	return ctx, span
}

// driven ends the span of a session that was closed.
func (e *episode) driven() {
	if e.driving != nil {
		e.driving.End()
	}
	e.driving = nil
}

// noteEvent notes what the messenger says, without its contents, and ends the span
// when the session is connected or closed. It is called by the driver's goroutines.
func noteEvent(span trace.Span, event instance.SessionEvent) {
	switch event := event.(type) {
	case instance.CodeIssued:
		span.AddEvent("code")
	case instance.PairingCodeIssued:
		span.AddEvent("pairing code")
	case instance.PasswordNeeded:
		span.AddEvent("password needed")
	case instance.PasskeyNeeded:
		span.AddEvent("passkey needed")
	case instance.Scanned:
		span.AddEvent("scanned")
	case instance.Linked:
		span.AddEvent("linked")
	case instance.Connected:
		span.AddEvent("connected")
		span.End()
	case instance.Closed:
		span.SetStatus(codes.Error, string(event.Reason))
		span.End()
	}
}
