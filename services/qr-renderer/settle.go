package renderer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/service"
	pb "pairgate.dev/proto/pairgate/v1"

	"pairgate.dev/services/qr-renderer/internal/picture"
)

// dropped is the outcome of a code that gets no picture, for good.
type dropped struct{ why reason }

func (d dropped) Error() string { return "no picture: " + string(d.why) }

// settle draws and publishes the picture of one code and tells the server what
// became of it: done, never to come again, or to be given to somebody else.
func (w *worker) settle(ctx context.Context, msg jetstream.Msg) {
	defer w.backlog.settled()
	traced, span := bus.StartProcess(ctx, "draw", msg.Subject(), msg.Headers())
	log := w.log.With(zap.String("subject", msg.Subject()), service.TraceID(traced))

	err := w.picture(traced, msg)
	bus.EndSpan(span, unlessDropped(err))
	var answer error
	switch d, isDropped := errors.AsType[dropped](err); {
	case err == nil:
		answer = msg.Ack()
	case isDropped && (d.why == undecodable || d.why == failed):
		w.metrics.drop(d.why)
		// Not the error of the decoder: it may quote what it could not read.
		log.Error("a code is given up", zap.String("reason", string(d.why)), sequenceField(msg))
		answer = msg.TermWithReason(string(d.why))
	case isDropped:
		w.metrics.drop(d.why)
		answer = msg.Ack()
	case ctx.Err() != nil:
		answer = msg.Nak()
	default:
		// It comes again after ackWait. Nak would bring it back at once.
		log.Error("a picture could not be published", zap.Error(err), sequenceField(msg))
	}
	if answer != nil {
		// Then it comes again and is found published or superseded.
		log.Warn("a code could not be settled", zap.Error(answer), sequenceField(msg))
	}
}

func sequenceField(msg jetstream.Msg) zap.Field {
	meta, err := msg.Metadata()
	if err != nil {
		return zap.Skip()
	}
	return zap.Uint64("sequence", meta.Sequence.Stream)
}

// picture draws and publishes. Its error is dropped, that of ctx, or why
// publishing failed.
func (w *worker) picture(ctx context.Context, msg jetstream.Msg) error {
	code, err := bus.DecodeEventMsg(msg)
	if err != nil || code.GetCode() == nil || code.GetId() == "" {
		return dropped{undecodable}
	}
	defer w.seen.forget(msg.Subject(), code.GetSequence())
	if code.GetCode().GetCode() == "" {
		return dropped{withdrawn}
	}
	// Before it waits, and again when it is its turn.
	if err := w.worthDrawing(code, msg.Subject()); err != nil {
		return err
	}
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	qr, err := w.drawCode(code, msg.Subject())
	<-w.slots
	if err != nil {
		return err
	}
	return w.publish(ctx, msg, code, eventOf(code, qr))
}

// unlessDropped leaves out that a code is of no use any more, which is no failure.
func unlessDropped(err error) error {
	if d, ok := errors.AsType[dropped](err); ok && d.why != undecodable && d.why != failed {
		return nil
	}
	return err
}

func (w *worker) worthDrawing(code *pb.Event, subject string) error {
	switch {
	case hasExpired(code.GetCode()):
		return dropped{expired}
	case w.seen.superseded(subject, code.GetSequence()):
		return dropped{superseded}
	}
	return nil
}

// hasExpired says whether the life of a code has ended. One without an end lives
// until it is followed or withdrawn.
func hasExpired(code *pb.Qr) bool {
	return code.GetExpiresAt() != nil && !time.Now().Before(code.GetExpiresAt().AsTime())
}

// drawCode draws the code in the look of its instance. A text that no QR code
// holds gives a Qr without image that says so.
func (w *worker) drawCode(code *pb.Event, subject string) (qr *pb.Qr, err error) {
	if err := w.worthDrawing(code, subject); err != nil {
		return nil, err
	}
	defer func() {
		// Not the value: it may quote the text. The same text would panic again.
		if recovered := recover(); recovered != nil {
			w.log.Error("the encoder panicked", zap.String("type", fmt.Sprintf("%T", recovered)), zap.ByteString("stack", debug.Stack()))
			qr, err = nil, dropped{failed}
		}
	}()
	c := code.GetCode()
	qr = &pb.Qr{Code: c.GetCode(), Attempt: c.GetAttempt(), Sequence: c.GetSequence(),
		IssuedAt: c.GetIssuedAt(), ExpiresAt: c.GetExpiresAt()}

	// An instance's size is what it usually wants; a long code may need a few pixels more.
	o := picture.Options{Style: w.styleOf(instance.ID(code.GetInstance().GetId())), Grow: true}
	p, err := w.metrics.draw(sourceCode, c.GetCode(), o)
	if problem, ok := errors.AsType[*instance.Problem](err); ok && problem.Code == instance.CodeInvalidRequest {
		w.log.Warn("the look of the instance's QR codes is not valid, drawing in the default look",
			zap.String("instance", code.GetInstance().GetId()), zap.Error(problem))
		p, err = w.metrics.draw(sourceCode, c.GetCode(), picture.Options{})
	}
	if err != nil {
		qr.ImageReason = string(instance.AsProblem(err).Code)
		return qr, nil
	}
	qr.Image = p.Data
	return qr, nil
}

// styleOf returns the look that the instance asks for; that of an instance we do
// not know is the default.
func (w *worker) styleOf(id instance.ID) instance.QRStyle {
	record, _, _ := w.instances.Get(id)
	s := record.GetInstance().GetSettings().GetQr()
	return instance.QRStyle{
		Foreground: s.GetForeground(), Background: s.GetBackground(), Level: s.GetLevel(),
		Size: s.GetSize(), Margin: s.GetMargin(),
	}
}

// eventOf returns the event of a picture: that of its code, with an id of its own
// that is the same whoever draws it.
func eventOf(code *pb.Event, qr *pb.Qr) *pb.Event {
	return &pb.Event{
		Id: bus.DerivedEventID(code.GetId(), instance.KindQR), Kind: string(instance.KindQR), Time: timestamppb.Now(),
		Epoch: code.GetEpoch(), Attempt: code.GetAttempt(), Instance: code.GetInstance(), Incarnation: code.GetIncarnation(),
		CodeSequence: code.GetSequence(), Body: &pb.Event_Qr{Qr: qr},
	}
}
