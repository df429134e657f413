package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/instance"
)

// call is one request as it arrived.
type call struct {
	subject, reply string
	header         nats.Header
	data           []byte
}

// endpoint handles the requests of one subject.
type endpoint struct {
	svc      *Service
	subject  string
	cfg      handleConfig
	req, rep string // names of the schemas
	newReq   func() proto.Message
	handle   func(context.Context, proto.Message) (proto.Message, error)

	slots   chan struct{} // holds one token for each running handler
	pending atomic.Int64  // running and waiting
	figures figures
}

func newEndpoint[Req, Rep any](s *Service, subject string, h func(context.Context, *Req) (*Rep, error), opts []HandleOption) (*endpoint, error) {
	cfg, err := newHandleConfig(opts)
	if err != nil {
		return nil, err
	}
	req, rep := message(new(Req)), message(new(Rep))
	if req == nil || rep == nil {
		return nil, fmt.Errorf("bus: endpoint %s: %T and %T must both be protobuf messages", subject, new(Req), new(Rep))
	}
	if own := fmt.Sprintf("%T", new(Req)); cfg.validate != nil && cfg.validates != own {
		return nil, fmt.Errorf("bus: endpoint %s takes %s, its validation %s", subject, own, cfg.validates)
	}
	return &endpoint{
		svc: s, subject: subject, cfg: cfg,
		req:    string(req.ProtoReflect().Descriptor().FullName()),
		rep:    string(rep.ProtoReflect().Descriptor().FullName()),
		newReq: func() proto.Message { return message(new(Req)) },
		handle: func(ctx context.Context, m proto.Message) (proto.Message, error) {
			typed, _ := m.(any).(*Req)
			out, err := h(ctx, typed)
			if err != nil {
				return nil, err
			}
			if out == nil {
				out = new(Rep)
			}
			return message(out), nil
		},
		slots: make(chan struct{}, cfg.concurrency),
	}, nil
}

func (e *endpoint) metadata() map[string]string {
	m := map[string]string{"schema.request": e.req, "schema.reply": e.rep, "content-types": ContentJSON + ", " + ContentProtobuf}
	if e.cfg.description != "" {
		m["description"] = e.cfg.description
	}
	return m
}

// accept takes a request from the subscription and returns at once. Requests
// beyond the bound are refused here, so that neither memory nor goroutines grow.
func (e *endpoint) accept(c call) {
	arrived := time.Now()
	if !e.svc.begin() {
		e.refuse(c, arrived, &instance.Problem{Code: instance.CodeDraining, RetryAfter: 1,
			Detail: "This member of the service is stopping and has not begun the request; send it again."})
		return
	}
	if e.pending.Add(1) > int64(e.cfg.concurrency+e.cfg.queue) {
		e.pending.Add(-1)
		e.svc.inFlight.Done()
		e.refuse(c, arrived, &instance.Problem{Code: instance.CodeUnavailable, RetryAfter: 1,
			Detail: "The service has too many requests to handle at the moment."})
		return
	}
	go func() {
		defer e.svc.inFlight.Done()
		defer e.pending.Add(-1)
		e.serve(c, arrived)
	}()
}

func (e *endpoint) refuse(c call, arrived time.Time, p *instance.Problem) {
	e.answer(c, RequestID(WithRequestID(context.Background(), c.header.Get(HeaderRequestID))), nil, p)
	e.observe(arrived, p)
}

// serve waits for a slot and handles the request. The deadline counts from the
// arrival, so what waited too long is not begun.
func (e *endpoint) serve(c call, arrived time.Time) {
	ctx := ExtractTrace(e.svc.ctx, c.header)
	ctx = context.WithValue(ctx, keySubject, c.subject)
	ctx = WithRequestID(ctx, c.header.Get(HeaderRequestID))
	ctx, cancel := context.WithDeadline(ctx, arrived.Add(timeoutOf(c.header, e.cfg.timeout)))
	defer cancel()
	ctx, span := tracer().Start(ctx, "serve "+e.subject, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("messaging.system", "nats"), attribute.String("messaging.destination.name", e.subject)))
	defer span.End()

	rep, err := e.turn(ctx, c)
	var p *instance.Problem
	if err != nil {
		p = e.problem(ctx, err)
		span.SetStatus(codes.Error, string(p.Code))
	}
	p = e.answer(c, RequestID(ctx), rep, p)
	e.observe(arrived, p)
}

// turn runs the handler in a slot. A panic becomes an error.
func (e *endpoint) turn(ctx context.Context, c call) (rep proto.Message, err error) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	defer func() {
		if r := recover(); r != nil {
			rep, err = nil, panicked(r)
		}
	}()
	req := e.newReq()
	if err := e.decode(c, req); err != nil {
		return nil, err
	}
	return e.handle(ctx, req)
}

func (e *endpoint) decode(c call, req proto.Message) error {
	validate := func(m proto.Message) instance.FieldErrors {
		if e.cfg.validate == nil {
			return nil
		}
		return e.cfg.validate(m)
	}
	if isProtobuf(c.header) {
		if err := decodeBinary(c.data, req); err != nil {
			return err
		}
		return validate(req).Err()
	}
	body := c.data
	if len(body) == 0 {
		body = []byte("{}")
	}
	return DecodeAndValidate(body, req, validate, e.cfg.decode...)
}

// panicError is a panic of a handler. Its text names the value only when the
// runtime made it: any other may hold what a user sent.
type panicError struct {
	what  string
	stack []byte
}

func (p *panicError) Error() string { return p.what }

func panicked(r any) error {
	what := fmt.Sprintf("panic with a %T", r)
	if re, ok := r.(runtime.Error); ok {
		what = "panic: " + re.Error()
	}
	return &panicError{what: what, stack: debug.Stack()}
}

// problem turns a handler's error into what the caller is told, and logs what he is not.
func (e *endpoint) problem(ctx context.Context, err error) *instance.Problem {
	fields := []zap.Field{zap.String("subject", e.subject), zap.String("request", RequestID(ctx)), traceField(ctx), zap.Error(err)}
	if p, ok := errors.AsType[*instance.Problem](err); ok {
		if p.Code == instance.CodeInternal {
			e.svc.log.Error("request failed", fields...)
		}
		return p
	}
	if pe, ok := errors.AsType[*panicError](err); ok {
		e.svc.log.Error("handler panicked", append(fields, zap.ByteString("stack", pe.stack))...)
		return instance.AsProblem(err)
	}
	if ctx.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		e.svc.log.Warn("request not finished in time", fields...)
		return &instance.Problem{Code: instance.CodeTimeout, RetryAfter: 1,
			Detail: "The service could not finish the request in time; it may have been carried out in part."}
	}
	e.svc.log.Error("request failed", fields...)
	return instance.AsProblem(err)
}

// answer sends the reply or the problem, in the type of the request, and returns
// the problem that was sent, which is another one when the reply could not be.
func (e *endpoint) answer(c call, requestID string, rep proto.Message, p *instance.Problem) *instance.Problem {
	if c.reply == "" {
		return p
	}
	if p == nil {
		err := e.send(c, requestID, rep, nil)
		if err == nil {
			return nil
		}
		if errors.Is(err, nats.ErrConnectionClosed) {
			return unavailable("The connection to the message bus is closing or lost.")
		}
		e.svc.log.Error("reply not sent", zap.String("subject", e.subject), zap.String("request", requestID), zap.Error(err))
		p = instance.Problemf(instance.CodeInternal, "The reply could not be sent; the request has been carried out.")
	}
	if err := e.send(c, requestID, ProblemToProto(p), p); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		e.svc.log.Error("reply not sent", zap.String("subject", e.subject), zap.String("request", requestID), zap.Error(err))
	}
	return p
}

// send publishes the reply itself: the services framework's own way may only be
// used before its callback returns, and ours returns at once.
func (e *endpoint) send(c call, requestID string, body proto.Message, p *instance.Problem) error {
	out := nats.NewMsg(c.reply)
	out.Header.Set(HeaderRequestID, requestID)
	contentType := ContentJSON
	if p != nil {
		contentType = ContentProblemJSON
		out.Header.Set(HeaderErrorCode, strconv.Itoa(p.Code.HTTPStatus()))
		out.Header.Set(HeaderError, oneLine(string(p.Code)+": "+p.Detail))
	}
	var err error
	if isProtobuf(c.header) {
		contentType = ContentProtobuf
		out.Data, err = proto.Marshal(body)
	} else {
		out.Data, err = EncodeJSON(body)
	}
	if err != nil {
		return err
	}
	out.Header.Set(HeaderContentType, contentType)
	return e.svc.conn.nc.PublishMsg(out)
}
