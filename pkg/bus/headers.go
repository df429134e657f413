package bus

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Headers of requests, replies and events.
const (
	// HeaderContentType is application/json or application/protobuf; absent means JSON.
	HeaderContentType = "Content-Type"
	// HeaderRequestID follows a request through every service and log line.
	HeaderRequestID = "Pairgate-Request-Id"
	// HeaderTimeout tells a service how many milliseconds the caller will wait.
	HeaderTimeout = "Pairgate-Timeout-Ms"
	// HeaderErrorCode and HeaderError mark an error reply of the NATS services framework.
	HeaderErrorCode = "Nats-Service-Error-Code"
	HeaderError     = "Nats-Service-Error"
)

// Content types.
const (
	ContentJSON        = "application/json"
	ContentProblemJSON = "application/problem+json"
	ContentProtobuf    = "application/protobuf"
)

var propagator = propagation.TraceContext{}

func tracer() trace.Tracer { return otel.Tracer("pairgate/bus") }

// carrier lets trace context travel in NATS headers. It is not
// propagation.HeaderCarrier, which would change the case of the names.
type carrier nats.Header

func (c carrier) Get(key string) string { return nats.Header(c).Get(key) }
func (c carrier) Set(key, value string) { nats.Header(c).Set(key, value) }
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	return keys
}

// InjectTrace writes the trace context of ctx into the message as traceparent
// and tracestate; it does nothing when ctx has none.
func InjectTrace(ctx context.Context, m *nats.Msg) {
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	propagator.Inject(ctx, carrier(m.Header))
}

// ExtractTrace returns ctx with the trace context of the headers.
func ExtractTrace(ctx context.Context, h nats.Header) context.Context {
	return propagator.Extract(ctx, carrier(h))
}

type contextKey int

const (
	keyRequestID contextKey = iota
	keySubject
)

// WithRequestID returns ctx carrying a request id, which Request sends along. An
// id that is empty, longer than 128 bytes or not printable ASCII is replaced by a new one.
func WithRequestID(ctx context.Context, id string) context.Context {
	if !validRequestID(id) {
		id = NewRequestID()
	}
	return context.WithValue(ctx, keyRequestID, id)
}

// RequestID returns the request id of ctx, "" when there is none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(keyRequestID).(string)
	return id
}

// NewRequestID returns a new random request id.
func NewRequestID() string { return uuid.NewString() }

func validRequestID(id string) bool {
	return id != "" && len(id) <= 128 && strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// RequestSubject returns the subject on which the request being handled arrived,
// for handlers that serve a wildcard.
func RequestSubject(ctx context.Context) string {
	s, _ := ctx.Value(keySubject).(string)
	return s
}

func isProtobuf(h nats.Header) bool {
	media, _, _ := strings.Cut(h.Get(HeaderContentType), ";")
	return strings.EqualFold(strings.TrimSpace(media), ContentProtobuf)
}

func setTimeout(h nats.Header, d time.Duration) {
	h.Set(HeaderTimeout, strconv.FormatInt(max(d.Milliseconds(), 1), 10))
}

// timeoutOf returns how long the caller waits, or limit if that is shorter or
// the caller does not say.
func timeoutOf(h nats.Header, limit time.Duration) time.Duration {
	ms, err := strconv.ParseUint(h.Get(HeaderTimeout), 10, 32)
	if err != nil || ms == 0 {
		return limit
	}
	return min(limit, time.Duration(ms)*time.Millisecond)
}

// oneLine makes text fit for a header.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if len(text) > 512 {
		text = strings.ToValidUTF8(text[:512], "") + "…"
	}
	return text
}
