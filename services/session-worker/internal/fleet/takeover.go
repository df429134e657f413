package fleet

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/internal/outbox"
)

// Acquired implements lease.Handler: it reads every status once, then takes up
// what needs it.
func (f *Fleet) Acquired(ctx context.Context, round lease.Round) {
	started := time.Now()
	parts := map[instance.Partition]*partition{}
	for _, owned := range round.Partitions {
		if writer, ok := round.Writer(owned.Number); ok {
			parts[owned.Number] = newPartition(f, owned, outbox.New(writer, f.Log, f.Metrics.writeFailures.Inc))
		}
	}
	f.mu.Lock()
	for n, p := range parts {
		f.partitions[n] = p
	}
	f.mu.Unlock()
	if !f.prepare(ctx, round, parts) {
		return // The lease is lost, and Lost follows.
	}
	pending := f.pending(parts)
	f.Log.Info("took over partitions", zap.Int("partitions", len(parts)), zap.Int("instances", len(pending)),
		zap.Duration("took", time.Since(started)))
	if len(pending) > 0 {
		f.wg.Go(func() { f.takeUp(pending) })
	}
}

// prepare reads what the partitions have to know and begins to listen for them.
// What fails is tried again until ctx ends, and then it returns false: a
// partition that is owned but not served would be worse than one without owner.
func (f *Fleet) prepare(ctx context.Context, round lease.Round, parts map[instance.Partition]*partition) bool {
	// The stream may be another one than in the last round: it was restored from a backup.
	var incarnation string
	done := f.insist(ctx, "the age of the stream of events", func() (err error) {
		incarnation, err = f.Conn.Incarnation(ctx)
		return err
	}) && f.insist(ctx, "the last statuses", func() error { return f.readStatuses(ctx, round, parts) })
	if !done {
		return false
	}
	for _, p := range parts {
		p.incarnation = incarnation
		if !f.insist(ctx, "passwords and touches", p.serve) {
			return false
		}
	}
	return true
}

// insistPause is the pause between two tries of what a partition cannot do without.
const insistPause = time.Second

// insist tries until it succeeds or ctx ends, which is false.
func (f *Fleet) insist(ctx context.Context, what string, try func() error) bool {
	for ctx.Err() == nil {
		err := try()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			break
		}
		f.Log.Warn("a take-over cannot go on; trying again", zap.String("for want of", what),
			zap.Duration("after", insistPause), zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(insistPause):
		}
	}
	return false
}

// readStatuses reads the last status of every instance of the partitions. The
// events "deleted" are read too: they outlive the statuses of what is being
// cleaned up, which must not be deleted a second time.
func (f *Fleet) readStatuses(ctx context.Context, round lease.Round, parts map[instance.Partition]*partition) error {
	kinds := []string{bus.EventsOfKind(instance.KindStatus), bus.EventsOfKind(instance.KindDeleted)}
	return round.Read(ctx, kinds, func(m jetstream.Msg) error {
		id, kind, ok := bus.ParseEventSubject(m.Subject())
		p := parts[id.Partition()]
		if !ok || p == nil {
			return nil
		}
		if kind == instance.KindDeleted {
			p.remember(id, &instance.Status{Phase: instance.Deleted, Reason: instance.ReasonDeleted})
			return nil
		}
		e, err := bus.DecodeEvent(m.Data())
		if err != nil || e.GetStatus() == nil {
			// It counts as no status; the next one replaces it.
			f.Log.Error("a stored status cannot be read", zap.String("instance", string(id)), zap.Error(err))
			return nil
		}
		s := bus.StatusFromProto(e.GetStatus())
		p.remember(id, &s)
		return nil
	})
}

// pending opens the partitions for wishes and returns the instances for which something is to be done now.
func (f *Fleet) pending(parts map[instance.Partition]*partition) []*pb.InstanceRecord {
	for _, p := range parts {
		p.open()
	}
	var pending []*pb.InstanceRecord
	for record := range f.Instances.All() {
		id := instance.ID(record.GetInstance().GetId())
		if p := parts[id.Partition()]; p != nil && p.needsActor(id, record, takenOver) {
			pending = append(pending, record)
		}
	}
	return pending
}

// renewedAtOnce is how many idle instances are told of before it is waited until
// that is stored: what waits must not grow with the number of instances.
const renewedAtOnce = 4096

// takeUp tells the status of idle instances anew and starts actors for the
// others. A slot is held until an actor has looked up its keys and begun, so
// that a worker that takes over many does not ask the key store for all at once.
func (f *Fleet) takeUp(records []*pb.InstanceRecord) {
	renewed := 0
	for _, record := range records {
		id := instance.ID(record.GetInstance().GetId())
		p := f.partition(id.Partition())
		if p == nil {
			continue
		}
		if p.renew(id, record) {
			if renewed++; renewed%renewedAtOnce == 0 && p.queue.Flush(f.ctx) != nil {
				return
			}
			continue
		}
		if !f.crowd(p, id, record, takenOver) {
			return
		}
	}
}

// crowd starts an actor where many are started, if it is needed, once a slot is
// free. It returns false when the fleet is closed.
func (f *Fleet) crowd(p *partition, id instance.ID, record *pb.InstanceRecord, why occasion) bool {
	select {
	case f.slots <- struct{}{}:
	case <-f.ctx.Done():
		return false
	}
	if !p.start(id, record, why) {
		<-f.slots
	}
	return true
}
