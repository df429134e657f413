package lanes

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/journal"
	"pairgate.dev/services/webhook-dispatcher/internal/lane"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

// logWait is how long a lane waits for the log of attempts, which is not worth more.
const logWait = 2 * time.Second

func timestamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }

// Attempt is the record of attempt number n.
func Attempt(res sender.Result, n int) *pb.DeliveryAttempt {
	return &pb.DeliveryAttempt{Number: uint32(n), At: timestamp(res.At), DurationMs: uint32(res.Duration.Milliseconds()),
		StatusCode: uint32(res.StatusCode), Error: string(res.Error), Response: res.Response}
}

// recall reads what an earlier owner did with the delivery in this series. settled
// says that it was done, and only the deletion is missing.
func (r *Runner) recall(ctx context.Context, record *pb.Delivery) (settled bool, err error) {
	m, err := r.attempts.GetLastMsgForSubject(ctx, bus.AttemptSubject(record.GetWebhookId(), record.GetId()))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	before, err := journal.Decode(m.Data)
	if err != nil || before.GetSeries() != record.GetSeries() {
		return false, err
	}
	record.Attempts = max(record.GetAttempts(), before.GetAttempts())
	return before.GetState() != journal.Pending, nil
}

// write begins to write the record to the log of attempts; what it returns waits
// until that is done. A log that cannot be written holds up no delivery.
func (r *Runner) write(ctx context.Context, record *pb.Delivery) (wait func()) {
	m, err := journal.Attempt(record)
	if err != nil {
		r.unlogged(err)
		return func() {}
	}
	future, err := r.o.Conn.JetStream().PublishMsgAsync(m)
	if err != nil {
		r.unlogged(err)
		return func() {}
	}
	return func() {
		timer := time.NewTimer(logWait)
		defer timer.Stop()
		select {
		case <-future.Ok():
		case err := <-future.Err():
			r.unlogged(err)
		case <-timer.C:
			r.unlogged(context.DeadlineExceeded)
		case <-ctx.Done():
		}
	}
}

func (r *Runner) unlogged(err error) {
	r.met.unlogged.Inc()
	r.o.Log.Warn("an attempt is not in the log of attempts", zap.Error(err))
}

// drop ends a delivery that must not be sent any more, and says why in the log.
func (r *Runner) drop(ctx context.Context, w lane.Work, item *lane.Item, record *pb.Delivery, reason string) lane.Outcome {
	r.met.dropped.WithLabelValues(reason).Inc()
	record.State, record.Reason = journal.Dropped, reason
	wait := r.write(ctx, record)
	o := r.finish(ctx, w, item, lane.Outcome{Result: lane.Skipped})
	wait()
	return o
}

// bury ends a delivery that is given up: it is written among the dead letters,
// as a pointer to its event, before it is deleted.
func (r *Runner) bury(ctx context.Context, w lane.Work, item *lane.Item, record *pb.Delivery, reason string, o lane.Outcome) lane.Outcome {
	record.State, record.Reason = journal.Failed, reason
	m, err := journal.DeadLetter(record, item.Seq)
	if err != nil {
		return r.trouble(ctx, w, "a dead letter cannot be written", err)
	}
	if _, err := r.o.Conn.JetStream().PublishMsg(ctx, m); err != nil {
		return r.trouble(ctx, w, "a dead letter cannot be written", err)
	}
	r.met.dead.WithLabelValues(reason).Inc()
	r.o.Log.Warn("a delivery is given up", zap.String("webhook", w.Key.Endpoint), zap.String("delivery", record.GetId()), zap.String("reason", reason))
	if record.GetId() != "" {
		defer r.write(ctx, record)()
	}
	o.Result = lane.Skipped
	return r.finish(ctx, w, item, o)
}

// finish deletes the message: only then is it not owed any more. It tries until
// it is known, or the partition is lost: then the next owner finds the message,
// and in the log of attempts that it was done.
func (r *Runner) finish(ctx context.Context, w lane.Work, item *lane.Item, o lane.Outcome) lane.Outcome {
	o.Seq = item.Seq
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := r.deliveries.DeleteMsg(ctx, item.Seq)
		if err == nil {
			return o
		}
		// An answer that was lost, or an earlier owner: the server's error for a
		// message that is not there has changed between versions, so it is asked.
		if _, missing := r.deliveries.GetMsg(ctx, item.Seq); errors.Is(missing, jetstream.ErrMsgNotFound) {
			return o
		}
		if ctx.Err() != nil {
			return r.trouble(ctx, w, "", err)
		}
		r.o.Log.Warn("a delivery that is done cannot be deleted yet", zap.String("webhook", w.Key.Endpoint), zap.Error(err))
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}
