package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	pb "pairgate.dev/proto/pairgate/v1"

	"pairgate.dev/pkg/instance"
)

// DefaultTimeout is how long Request waits when its context has no deadline.
const DefaultTimeout = 10 * time.Second

// drainRetries is how often a request is sent again because the member of the
// service that got it was stopping and had not begun it.
const drainRetries = 3

// Request sends req as JSON and decodes the answer into rep; both may be nil for
// an empty body. Without a deadline in ctx it waits DefaultTimeout.
//
// The error is a *instance.Problem: the service's own, CodeUnavailable when there
// is no connection or nobody serves the subject, CodeTimeout when no answer came
// in time (the request may have been carried out), CodeBodyTooLarge for a request
// that NATS refuses to carry; or ctx's error when it was cancelled. The request id
// and the trace of ctx go along.
func Request(ctx context.Context, c *Conn, subject string, req, rep proto.Message) error {
	ctx, span := tracer().Start(ctx, "request "+subject, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("messaging.system", "nats"), attribute.String("messaging.destination.name", subject)))
	defer span.End()
	err := request(ctx, c, subject, req, rep)
	if err != nil {
		span.SetStatus(codes.Error, string(instance.AsProblem(err).Code))
	}
	return err
}

func request(ctx context.Context, c *Conn, subject string, req, rep proto.Message) error {
	body, err := encodeBody(req)
	if err != nil {
		return err
	}
	return requestBody(ctx, c, subject, body, rep)
}

func requestBody(ctx context.Context, c *Conn, subject string, body []byte, rep proto.Message) error {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultTimeout)
		defer cancel()
	}
	delay := newBackoff(10*time.Millisecond, 100*time.Millisecond)
	for try := 0; ; try++ {
		err := exchange(ctx, c, subject, body, rep)
		p, ok := errors.AsType[*instance.Problem](err)
		if !ok || p.Code != instance.CodeDraining || try == drainRetries || delay.wait(ctx) != nil {
			return err
		}
	}
}

// Send publishes m as JSON without waiting for anybody to hear it: for hints
// whose loss does no harm. The error says only that it was not sent.
func Send(ctx context.Context, c *Conn, subject string, m proto.Message) error {
	body, err := encodeBody(m)
	if err != nil {
		return err
	}
	msg := newRequest(ctx, subject, body)
	if err := c.nc.PublishMsg(msg); err != nil {
		return fmt.Errorf("bus: sending on %s: %w", subject, err)
	}
	return nil
}

func encodeBody(m proto.Message) ([]byte, error) {
	if m == nil {
		return []byte("{}"), nil
	}
	return EncodeJSON(m)
}

func newRequest(ctx context.Context, subject string, body []byte) *nats.Msg {
	msg := nats.NewMsg(subject)
	msg.Data = body
	msg.Header.Set(HeaderContentType, ContentJSON)
	if id := RequestID(ctx); id != "" {
		msg.Header.Set(HeaderRequestID, id)
	}
	if deadline, ok := ctx.Deadline(); ok {
		setTimeout(msg.Header, time.Until(deadline))
	}
	InjectTrace(ctx, msg)
	return msg
}

func exchange(ctx context.Context, c *Conn, subject string, body []byte, rep proto.Message) error {
	if !c.nc.IsConnected() {
		// The library would keep it and send it when nobody waits any more.
		return unavailable("There is no connection to the message bus at the moment.")
	}
	reply, err := c.nc.RequestMsgWithContext(ctx, newRequest(ctx, subject, body))
	if err != nil {
		return requestProblem(ctx, subject, err)
	}
	if reply.Header.Get(HeaderErrorCode) != "" {
		return replyProblem(reply)
	}
	if rep == nil {
		return nil
	}
	if isProtobuf(reply.Header) {
		err = decodeBinary(reply.Data, rep)
	} else {
		err = DecodeJSON(reply.Data, rep)
	}
	if err != nil {
		return instance.Problemf(instance.CodeInternal, "The answer on %s could not be understood.", subject)
	}
	return nil
}

func unavailable(detail string) *instance.Problem {
	return &instance.Problem{Code: instance.CodeUnavailable, Detail: detail, RetryAfter: 1}
}

func requestProblem(ctx context.Context, subject string, err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return unavailable(fmt.Sprintf("No service answers on %s at the moment.", subject))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return &instance.Problem{Code: instance.CodeTimeout, RetryAfter: 1,
			Detail: fmt.Sprintf("No answer on %s in time; the request may have been carried out.", subject)}
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("bus: request on %s: %w", subject, context.Cause(ctx))
	case errors.Is(err, nats.ErrMaxPayload):
		return instance.Problemf(instance.CodeBodyTooLarge, "The request is larger than the message bus carries.")
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining),
		errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrReconnectBufExceeded):
		return unavailable("The connection to the message bus is closing or lost.")
	}
	return fmt.Errorf("bus: request on %s: %w", subject, err)
}

// replyProblem reads an error reply; one without our body, from another
// implementation, is known by its status alone.
func replyProblem(reply *nats.Msg) error {
	var p pb.Problem
	var err error
	if isProtobuf(reply.Header) {
		err = decodeBinary(reply.Data, &p)
	} else {
		err = DecodeJSON(reply.Data, &p)
	}
	if err == nil && p.GetCode() != "" {
		return ProblemFromProto(&p)
	}
	status, _ := strconv.Atoi(reply.Header.Get(HeaderErrorCode))
	return &instance.Problem{Code: knownCode("", status), Detail: reply.Header.Get(HeaderError)}
}
