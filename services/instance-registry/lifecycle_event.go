package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// lastTold is the last event of a kind of an instance; sequence 0 means none.
type lastTold struct {
	sequence uint64
	revision uint64
	version  uint64
	phase    instance.Phase
	at       time.Time
}

// last reads the last event of a kind through the leader.
func (r *registry) last(ctx context.Context, id instance.ID, kind instance.Kind) (lastTold, error) {
	msg, err := r.events.GetLastMsgForSubject(ctx, bus.EventSubject(id, kind))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return lastTold{}, nil
	}
	if err != nil {
		return lastTold{}, fmt.Errorf("last event of kind %s: %w", kind, err)
	}
	ev, err := bus.DecodeRawEvent(msg)
	if err != nil {
		return lastTold{}, fmt.Errorf("last event of kind %s of instance %s: %w", kind, id, err)
	}
	return lastTold{sequence: msg.Sequence, revision: ev.GetRevision(), version: ev.GetSpec().GetSpecVersion(),
		phase: instance.Phase(ev.GetStatus().GetPhase()), at: msg.Time}, nil
}

// publish tells of a revision, on condition that the last event on the subject
// has the given sequence. bus.IsStale says of the error that it has not.
func (l *lifecycle) publish(ctx context.Context, rec record, kind instance.Kind, expected uint64) error {
	i := rec.GetInstance()
	ev := &pb.Event{
		Id:          bus.LifecycleEventID(rec.id(), rec.revision, kind),
		Kind:        string(kind),
		Time:        timestamppb.New(rec.stored.UTC()),
		Incarnation: incarnation(l.events),
		Instance:    &pb.InstanceRef{Id: i.GetId(), Name: i.GetName(), Number: i.GetNumber(), Provider: i.GetProvider()},
		Body:        &pb.Event_Spec{Spec: proto.CloneOf(i)},
		Revision:    rec.revision,
	}
	msg, err := bus.EncodeEvent(ev)
	if err != nil {
		return err
	}
	if kind != instance.KindDeleted {
		// What was told of a living instance decides what is told next, and workers
		// start only what was told of: it must outlive the stream's age.
		msg.Header.Set(jetstream.MsgTTLHeader, bus.TTLNever)
	}
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expected, 10))
	ctx, span := bus.StartPublish(bus.WithTraceParent(ctx, rec.GetTraceparent()), msg)
	_, err = l.conn.JetStream().PublishMsg(ctx, msg)
	bus.EndSpan(span, err)
	if err == nil {
		l.metrics.events.WithLabelValues(string(kind)).Inc()
	}
	return err
}

// incarnation is the creation time of the stream as it was when this process
// began; a stream that is made anew under it is a restore, after which all
// processes are started again.
func incarnation(events jetstream.Stream) string {
	return events.CachedInfo().Created.UTC().Format(time.RFC3339Nano)
}
