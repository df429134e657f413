// Package again makes deliveries owed a second time, because somebody asks for it.
//
// What is owed again goes to the end of its lane, with the id that it had before, so
// that a receiver which threw ids away can tell, and with a series of its own, so that
// what the log of attempts says of an earlier series does not count. The body is made
// anew from the event, in the endpoint's present format. An event that has aged out of
// EVENTS cannot be owed again.
//
// These writes are not fenced: the router's order is that of new events, and what is
// owed again stands behind whatever it finds.
package again

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/history"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
)

// Options of New; all are required.
type Options struct {
	Conn    *bus.Conn
	Formats format.Formats
	History *history.Reader
	Log     *zap.Logger
}

// Again makes deliveries owed again; it is safe for concurrent use.
type Again struct {
	o      Options
	events jetstream.Stream
}

// New makes an Again. The error is the server's.
func New(ctx context.Context, o Options) (*Again, error) {
	events, err := o.Conn.JetStream().Stream(ctx, bus.StreamEvents)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", bus.StreamEvents, err)
	}
	return &Again{o: o, events: events}, nil
}

// Problems of what cannot be owed again.
var (
	errPending     = instance.Problemf(instance.CodeConflict, "The delivery is still owed; it need not be asked for again.")
	errDisabled    = instance.Problemf(instance.CodeConflict, "The webhook is disabled: enable it first.")
	errNotTold     = instance.Problemf(instance.CodeConflict, "The webhook's present format does not tell of such events.")
	errGone        = instance.Problemf(instance.CodeEventGone, "The event has aged out: its body is gone and cannot be sent again.")
	errExpired     = instance.Problemf(instance.CodeEventGone, "The code or picture has expired: it is of no use any more and is not sent again.")
	errStreamFull  = &instance.Problem{Code: instance.CodeUnavailable, Detail: "There is no room for more deliveries now; try again later.", RetryAfter: 30}
	errNotStored   = &instance.Problem{Code: instance.CodeUnavailable, Detail: "It is not known whether the delivery is owed again; ask once more.", RetryAfter: 1}
	errNotRoutable = errors.New("the format of the webhook is unknown to this version")
)

// Redeliver makes a delivery that was found owed again, and returns it as it is now.
// The error is a problem: CodeConflict when it is still owed, the webhook is disabled
// or its format does not tell of the event; CodeEventGone when the event has aged out
// or its code has expired; CodeUnavailable when DELIVERIES is full or does not answer;
// or what went wrong in reading.
func (a *Again) Redeliver(ctx context.Context, hook *pb.Webhook, found history.Found) (*pb.Delivery, error) {
	switch {
	case found.Pending:
		return nil, errPending
	case !hook.GetEnabled():
		return nil, errDisabled
	}
	ev, trace, err := a.event(ctx, found.Record)
	if err != nil {
		return nil, err
	}
	all, skip, err := a.render(ctx, hook, ev, found.Series)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(o *pb.OwedDelivery) bool { return o.GetId() == found.Record.GetId() })
	if at < 0 {
		// In another format it would be another delivery.
		if skip == nil {
			skip = errNotTold
		}
		return nil, skip
	}
	o := all[at]
	buried, err := a.o.History.Buried(ctx, bus.DeadLetterSubject(hook.GetId(), instance.ID(o.GetInstanceId())))
	if err != nil {
		return nil, err
	}
	duplicate, err := a.publish(ctx, o, trace)
	if err != nil {
		return nil, err
	}
	if duplicate {
		return nil, errPending
	}
	a.unbury(ctx, buried[o.GetId()])
	return history.Owed(o), nil
}

// event returns the event of a delivery, with the incarnation of the stream.
func (a *Again) event(ctx context.Context, d *pb.Delivery) (ev *pb.Event, trace string, err error) {
	m, err := a.events.GetMsg(ctx, d.GetSequence())
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, "", errGone
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading an event: %w", err)
	}
	// A stream that was made anew has other messages under the same numbers.
	ev, err = bus.DecodeRawEvent(m)
	if err != nil || ev.GetId() != d.GetEventId() {
		return nil, "", errGone
	}
	ev.Incarnation, err = a.o.Conn.Incarnation(ctx)
	return ev, m.Header.Get(owed.HeaderTrace), err
}

// render makes what is owed of an event; where nothing is, skip says why.
func (a *Again) render(ctx context.Context, hook *pb.Webhook, ev *pb.Event, series uint64) (all []*pb.OwedDelivery, skip, err error) {
	f, known := a.o.Formats.Of(hook.GetFormat())
	if !known {
		return nil, nil, errNotRoutable
	}
	parts, err := f.Parts(ctx, ev)
	if err != nil {
		return nil, nil, err
	}
	skip = errNotTold
	for _, part := range parts {
		if !part.WantedBy(hook) {
			continue
		}
		if part.Expires != nil && !time.Now().Before(part.Expires.AsTime()) {
			skip = errExpired
			continue
		}
		o, err := owed.New(hook, ev, part)
		if err != nil {
			return nil, nil, err
		}
		o.Series = series
		all = append(all, o)
	}
	if len(all) > 0 {
		skip = nil
	}
	return all, skip, nil
}

// publish stores a delivery. duplicate says that this series was stored before.
func (a *Again) publish(ctx context.Context, o *pb.OwedDelivery, trace string) (duplicate bool, err error) {
	m, err := owed.Encode(o, trace)
	if err != nil {
		return false, err
	}
	ack, err := a.o.Conn.JetStream().PublishMsg(ctx, m)
	switch {
	case err == nil:
		return ack.Duplicate, nil
	case bus.IsStreamFull(err):
		return false, errStreamFull
	default:
		return false, errors.Join(errNotStored, err)
	}
}

func (a *Again) unbury(ctx context.Context, at []uint64) {
	if err := a.o.History.Unbury(ctx, at); err != nil {
		a.o.Log.Warn("the dead letter of a delivery that is owed again stays", zap.Error(err))
	}
}
