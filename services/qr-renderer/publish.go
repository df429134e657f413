package renderer

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
)

const (
	// publishTimeout is how long one answer of the server is waited for.
	publishTimeout = 2 * time.Second
	// The pauses between attempts.
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// publisher is the part of jetstream.JetStream that stores events.
type publisher interface {
	PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error)
}

// publish stores the picture on the condition that its code is still the last
// message on the code's own, literal subject. Without an answer it sends the same
// message again: the server knows its id. It gives up, as dropped, when the code
// was followed, withdrawn or has expired.
func (w *worker) publish(ctx context.Context, msg jetstream.Msg, code, event *pb.Event) (err error) {
	m, err := bus.EncodeEvent(event)
	if err != nil {
		return err
	}
	ctx, span := bus.StartPublish(ctx, m)
	defer func() { bus.EndSpan(span, unlessDropped(err)) }()
	condition := jetstream.WithExpectLastSequenceForSubject(code.GetSequence(), msg.Subject())
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		attempt, cancel := context.WithTimeout(ctx, publishTimeout)
		_, err := w.events.PublishMsg(attempt, m, condition)
		cancel()
		switch {
		case err == nil:
			return nil
		case bus.IsStale(err):
			return dropped{superseded}
		case !bus.IsRetryable(err) && !bus.IsStreamFull(err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case hasExpired(code.GetCode()):
			return dropped{expired}
		}
		w.metrics.retries.Inc()
		// Else another member is given the code meanwhile.
		if err := msg.InProgress(); err != nil {
			w.log.Debug("no sign of life to the server", zap.Error(err))
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
