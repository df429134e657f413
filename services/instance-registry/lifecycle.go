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

// lifecycle derives created, updated and deleted from the records, one revision
// after the other. A durable consumer remembers how far it is; it hands out one
// revision at a time, so that replicas take turns and none overtakes another.
//
// What is published follows from the record and from what is published already,
// and each write is conditional on the latter. Beginning again from the first
// revision, as after the loss of the consumer, therefore publishes nothing twice.
type lifecycle struct {
	*registry
	log *zap.Logger

	// known is what was seen in EVENTS of instances lately: it only grows true.
	known map[instance.ID]uint64
	// gone are the instances whose status "deleted" was seen, to be told when
	// their last change has been derived.
	gone chan instance.ID
}

const (
	// ackWait is how long a replica may take over one revision before another one gets it.
	ackWait = 10 * time.Second
	// heartbeat shows a consumer that a change of leaders has silenced.
	heartbeat = 5 * time.Second

	firstRetry   = 100 * time.Millisecond
	longestRetry = 10 * time.Second
	knownAtMost  = 100_000
	goneAtMost   = 4096
)

func newLifecycle(r *registry) *lifecycle {
	return &lifecycle{registry: r, log: r.log.Named("lifecycle"), known: map[instance.ID]uint64{}, gone: make(chan instance.ID, goneAtMost)}
}

// run derives until ctx ends.
func (l *lifecycle) run(ctx context.Context) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		l.tellDeleted(ctx)
	}()
	defer func() { <-stopped }()

	pause := firstRetry
	for ctx.Err() == nil {
		began := time.Now()
		err := l.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longestRetry {
			pause = firstRetry
		}
		l.log.Warn("deriving events goes on after a pause", zap.Error(err), zap.Duration("pause", pause))
		sleep(ctx, pause)
		pause = min(2*pause, longestRetry)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// follow takes revisions from the durable consumer until it fails or ctx ends.
func (l *lifecycle) follow(ctx context.Context) error {
	consumer, err := l.conn.JetStream().CreateOrUpdateConsumer(ctx, bus.BucketStream(bus.BucketInstances), jetstream.ConsumerConfig{
		Durable:       bus.DurableLifecycle,
		Description:   "Derives created, updated and deleted from the records of instances",
		FilterSubject: bus.BucketSubject(bus.BucketInstances, bus.InstanceKeys),
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxAckPending: 1,
		MaxDeliver:    -1,
	})
	if err != nil {
		return fmt.Errorf("durable consumer: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return fmt.Errorf("durable consumer: %w", err)
	}
	defer messages.Stop()
	// Next does not know of our context.
	defer context.AfterFunc(ctx, messages.Stop)()
	for {
		msg, err := messages.Next()
		if err != nil {
			return fmt.Errorf("durable consumer: %w", err)
		}
		if err := l.take(ctx, msg); err != nil {
			return err
		}
	}
}

// take derives what one revision tells. One that can not be read is left out:
// it would stop all others for ever.
func (l *lifecycle) take(ctx context.Context, msg jetstream.Msg) error {
	rec, ok, err := decodeRevision(msg)
	if err != nil {
		l.log.Error("a record that can not be read is left out", zap.Error(err))
	}
	if ok {
		if err := l.derive(ctx, rec); err != nil {
			// Another replica need not wait for our time to run out.
			return errors.Join(err, msg.Nak())
		}
	}
	return msg.Ack()
}

// decodeRevision returns the record in a message of the bucket's stream; ok is
// false for the removal of one.
func decodeRevision(msg jetstream.Msg) (rec record, ok bool, err error) {
	if msg.Headers().Get(bus.HeaderKVOperation) != "" {
		return record{}, false, nil
	}
	meta, err := msg.Metadata()
	if err != nil {
		return record{}, false, err
	}
	rec = record{InstanceRecord: &pb.InstanceRecord{}, revision: meta.Sequence.Stream, stored: meta.Timestamp}
	if err := bus.DecodeJSON(msg.Data(), rec.InstanceRecord); err != nil {
		return record{}, false, fmt.Errorf("revision %d: %w", rec.revision, err)
	}
	if _, key, _ := bus.ParseBucketSubject(msg.Subject()); key != bus.InstanceKey(rec.id()) {
		return record{}, false, fmt.Errorf("revision %d: the record says that it belongs elsewhere", rec.revision)
	}
	return rec, true, nil
}

// derive publishes what the revision tells and is not published yet.
func (l *lifecycle) derive(ctx context.Context, rec record) error {
	if rec.GetAbandoned() {
		return nil
	}
	if rec.GetDeletedAt() != nil {
		told, err := l.last(ctx, rec.id(), instance.KindDeleted)
		if err != nil || told.sequence != 0 {
			return err
		}
	}
	if err := l.deriveSpec(ctx, rec); err != nil {
		return err
	}
	if rec.GetDeletedAt() == nil {
		return nil
	}
	_, err := l.publishDeleted(ctx, rec)
	return err
}

// deriveSpec publishes created or updated if the revision calls for it.
func (l *lifecycle) deriveSpec(ctx context.Context, rec record) error {
	id, version := rec.id(), rec.GetInstance().GetSpecVersion()
	if version <= l.known[id] {
		return nil
	}
	if version == 1 && rec.GetInstance().GetRequest() == 0 && l.known[id] == 0 {
		// Most likely new: the server refuses it if it is not.
		if err := l.publish(ctx, rec, instance.KindCreated, 0); !bus.IsStale(err) {
			return l.note(id, version, err)
		}
	}
	for {
		created, err := l.last(ctx, id, instance.KindCreated)
		if err != nil {
			return err
		}
		updated, err := l.last(ctx, id, instance.KindUpdated)
		if err != nil {
			return err
		}
		switch {
		case created.sequence == 0:
			err = l.publish(ctx, rec, instance.KindCreated, 0)
		case rec.revision > max(created.revision, updated.revision) && version > max(created.version, updated.version):
			err = l.publish(ctx, rec, instance.KindUpdated, updated.sequence)
		default:
			version = max(created.version, updated.version)
		}
		if !bus.IsStale(err) {
			return l.note(id, version, err)
		}
		// Another replica was faster: look again.
	}
}

func (l *lifecycle) note(id instance.ID, version uint64, err error) error {
	if err != nil {
		return err
	}
	if len(l.known) >= knownAtMost {
		clear(l.known)
	}
	l.known[id] = version
	return nil
}
