package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// publishDeleted publishes deleted if the owner has said that the session is
// gone, and returns the event, which may be there already. It is for revisions
// that mark a record as deleted, after everything before was derived.
func (l *lifecycle) publishDeleted(ctx context.Context, rec record) (lastTold, error) {
	for {
		told, err := l.last(ctx, rec.id(), instance.KindDeleted)
		if err != nil || told.sequence != 0 {
			return told, err
		}
		status, err := l.last(ctx, rec.id(), instance.KindStatus)
		if err != nil || status.phase != instance.Deleted {
			return lastTold{}, err
		}
		err = l.publish(ctx, rec, instance.KindDeleted, 0)
		if err != nil && !bus.IsStale(err) {
			return lastTold{}, err
		}
		if err == nil {
			l.log.Info("deletion complete", zap.String("instance", string(rec.id())))
		}
	}
}

// retryDeleted is how often it is tried to tell of what is waiting to be told.
const retryDeleted = 250 * time.Millisecond

// tellDeleted publishes deleted when the owner says that it is done. What it
// misses, the sweeper finds.
func (l *lifecycle) tellDeleted(ctx context.Context) {
	defer l.views.Sessions.Subscribe(func(ev *pb.Event) {
		if instance.Phase(ev.GetStatus().GetPhase()) != instance.Deleted {
			return
		}
		select {
		case l.gone <- instance.ID(ev.GetInstance().GetId()):
		default:
		}
	})()
	waiting := map[instance.ID]struct{}{}
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-l.gone:
			waiting[id] = struct{}{}
		case <-again:
		}
		for id := range waiting {
			done, err := l.tell(ctx, id)
			if err != nil {
				l.log.Warn("deletion not told yet", zap.String("instance", string(id)), zap.Error(err))
			}
			if done || len(waiting) > goneAtMost {
				delete(waiting, id)
			}
		}
		again = nil
		if len(waiting) > 0 {
			again = time.After(retryDeleted)
		}
	}
}

// tell publishes deleted for an instance whose owner is done with it, unless the
// consumer has not come to the deletion yet: an update may have to go before.
func (l *lifecycle) tell(ctx context.Context, id instance.ID) (done bool, err error) {
	rec, err := l.load(ctx, id)
	if err != nil {
		return false, err
	}
	if rec.GetDeletedAt() == nil || rec.GetAbandoned() {
		return true, nil
	}
	told, err := l.deletedEvent(ctx, rec)
	return told.sequence != 0, err
}

// deletedEvent is publishDeleted for use outside the consumer: it returns no
// event while the consumer is behind the record.
func (l *lifecycle) deletedEvent(ctx context.Context, rec record) (lastTold, error) {
	consumer, err := l.conn.JetStream().Consumer(ctx, bus.BucketStream(bus.BucketInstances), bus.DurableLifecycle)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return lastTold{}, nil
	}
	if err != nil {
		return lastTold{}, fmt.Errorf("durable consumer: %w", err)
	}
	info := consumer.CachedInfo()
	l.metrics.behind.Set(float64(info.NumPending) + float64(info.NumAckPending))
	if info.AckFloor.Stream < rec.revision {
		return lastTold{}, nil
	}
	return l.publishDeleted(ctx, rec)
}
