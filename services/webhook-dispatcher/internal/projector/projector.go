// Package projector fills the queue that GREEN-API's clients pull notifications from:
// for every event of an instance whose settings ask for it, and that has no webhook of
// that format instead, its notifications, one message each on the instance's subject
// in QUEUE.
//
// It is the work of a role with exactly one owner, so every queue has the order of the
// stream. A message has the id of its event and notification: what is written again
// after a crash is recognised by the server's window of duplicates, which is longer than
// a take-over, and beyond that by the last message of the queue where it is still there.
package projector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
	"pairgate.dev/services/webhook-dispatcher/internal/role"
)

// MaxAge is how long a notification may wait to be fetched; the stream forgets older ones.
const MaxAge = 24 * time.Hour

// Endpoints is what the projector has to know of webhooks; *bus.EndpointView is one.
type Endpoints interface {
	ByInstance(id instance.ID) []*pb.EndpointRecord
	WaitRevision(ctx context.Context, revision uint64) error
}

// Instances is what the projector has to know of instances; *bus.InstanceView is one.
type Instances interface {
	Get(id instance.ID) (rec *pb.InstanceRecord, revision uint64, ok bool)
	WaitRevision(ctx context.Context, revision uint64) error
}

// Options of New; all are required.
type Options struct {
	Conn      *bus.Conn
	Endpoints Endpoints
	Instances Instances
	Log       *zap.Logger
	// Skipped is told of a notification that was found to be stored: "duplicate".
	Skipped func(reason string)
}

// Projector is the work of the projector's role.
type Projector struct {
	o                    Options
	endpoints, instances jetstream.Stream
	queue                jetstream.Stream
}

// New makes a projector. The error is the server's.
func New(ctx context.Context, o Options) (*Projector, error) {
	p := &Projector{o: o}
	js := o.Conn.JetStream()
	for name, stream := range map[string]*jetstream.Stream{bus.BucketStream(bus.BucketEndpoints): &p.endpoints,
		bus.BucketStream(bus.BucketInstances): &p.instances, bus.StreamQueue: &p.queue} {
		var err error
		if *stream, err = js.Stream(ctx, name); err != nil {
			return nil, fmt.Errorf("projector: stream %s: %w", name, err)
		}
	}
	return p, nil
}

// Batch waits until settings and webhooks are known as they were when the events of
// the batch were stored, or later: who changed them and was answered before an event
// means that event.
func (p *Projector) Batch(ctx context.Context) error {
	for _, bucket := range []struct {
		stream jetstream.Stream
		wait   func(context.Context, uint64) error
	}{{p.endpoints, p.o.Endpoints.WaitRevision}, {p.instances, p.o.Instances.WaitRevision}} {
		info, err := bucket.stream.Info(ctx)
		if err != nil {
			return err
		}
		if err := bucket.wait(ctx, info.State.LastSeq); err != nil {
			return fmt.Errorf("waiting for what instances want: %w", err)
		}
	}
	return nil
}

// Event stores the notifications of one event and says how many they are.
func (p *Projector) Event(ctx context.Context, t *role.Target, e role.Event) (stored int, err error) {
	id, kind, ok := bus.ParseEventSubject(e.Msg.Subject())
	if !ok || kind != instance.KindStatus && kind != instance.KindCreated {
		return 0, nil
	}
	wanted := p.wanted(id)
	if len(wanted) == 0 {
		return 0, nil
	}
	ev, err := bus.DecodeEventMsg(e.Msg)
	if err != nil {
		p.o.Log.Error("an event cannot be read and is not queued", zap.Uint64("sequence", e.Sequence), zap.Error(err))
		return 0, nil
	}
	if time.Since(ev.GetTime().AsTime()) > MaxAge {
		return 0, nil
	}
	notes, err := format.GreenNotifications(ev)
	if err != nil {
		return 0, err
	}
	notes = slices.DeleteFunc(notes, func(n format.GreenNotification) bool { return !slices.Contains(wanted, n.Type) })
	if len(notes) == 0 {
		return 0, nil
	}
	if t.FirstBatch() {
		if notes, err = p.missing(ctx, id, e.Sequence, notes); err != nil {
			return 0, err
		}
	}
	for _, n := range notes {
		m := nats.NewMsg(bus.QueueSubject(id))
		m.Data = n.Body
		m.Header.Set(nats.MsgIdHdr, ev.GetId()+"/"+n.Type)
		m.Header.Set(bus.HeaderContentType, bus.ContentJSON)
		m.Header.Set(owed.HeaderSequence, strconv.FormatUint(e.Sequence, 10))
		m.Header.Set(headerPart, n.Type)
		if err := t.Publish(ctx, m); err != nil {
			return stored, err
		}
		stored++
	}
	return stored, nil
}

// headerPart tells the notifications of one event apart.
const headerPart = "Pairgate-Notification"

// wanted returns the notifications that go to the instance's queue: those that its
// settings say yes to, unless a webhook gets them.
func (p *Projector) wanted(id instance.ID) []string {
	rec, _, ok := p.o.Instances.Get(id)
	if !ok {
		return nil
	}
	wanted := dialect.GreenWanted(rec.GetInstance().GetSettings().GetGreenApi().GetFlags())
	if len(wanted) == 0 {
		return nil
	}
	pushed := slices.ContainsFunc(p.o.Endpoints.ByInstance(id), func(e *pb.EndpointRecord) bool {
		return e.GetWebhook().GetEnabled() && e.GetWebhook().GetFormat() == string(instance.FormatGreenAPI)
	})
	if pushed {
		return nil
	}
	return wanted
}

// missing leaves out the notifications that the last message of the queue shows to be
// stored: an owner before us got so far.
func (p *Projector) missing(ctx context.Context, id instance.ID, sequence uint64, notes []format.GreenNotification) ([]format.GreenNotification, error) {
	m, err := p.queue.GetLastMsgForSubject(ctx, bus.QueueSubject(id))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return notes, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for earlier notifications: %w", err)
	}
	last, err := strconv.ParseUint(m.Header.Get(owed.HeaderSequence), 10, 64)
	if err != nil || last < sequence {
		return notes, nil
	}
	done := len(notes)
	if last == sequence {
		done = 1 + slices.IndexFunc(notes, func(n format.GreenNotification) bool { return n.Type == m.Header.Get(headerPart) })
	}
	for range done {
		p.o.Skipped("duplicate")
	}
	return notes[done:], nil
}
