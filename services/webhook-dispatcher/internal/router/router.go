// Package router turns events into owed deliveries: for every event and every endpoint
// that wants it, the notifications that the endpoint's format makes of it, one message
// each on the endpoint's lane in DELIVERIES.
//
// It is the work of a role with exactly one owner. Events are routed one after another
// in the order of the stream, and the notifications of one in the order of the format;
// so every lane has their order.
//
// What is routed again after a crash has the same delivery id, and beyond the server's
// window of duplicates is looked for in the log of attempts. What remains is a delivery
// whose attempt was not written down before the crash: it is sent twice, with the same
// webhook-id.
package router

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
	"pairgate.dev/services/webhook-dispatcher/internal/role"
)

// Endpoints is what the router has to know of endpoints; *bus.EndpointView is one.
type Endpoints interface {
	// ByInstance returns the endpoints of an instance; those of all instances for the empty id.
	ByInstance(id instance.ID) []*pb.EndpointRecord
	WaitRevision(ctx context.Context, revision uint64) error
}

// Options of New; all are required.
type Options struct {
	Conn      *bus.Conn
	Endpoints Endpoints
	Formats   format.Formats
	Log       *zap.Logger
	// Skipped is told of a delivery that did not become owed, and why: "unknown_format",
	// or "duplicate".
	Skipped func(reason string)
}

// Router is the work of the router's role.
type Router struct {
	o         Options
	endpoints jetstream.Stream
	attempts  jetstream.Stream
}

// New makes a router. The error is the server's.
func New(ctx context.Context, o Options) (*Router, error) {
	r := &Router{o: o}
	js := o.Conn.JetStream()
	var err error
	if r.endpoints, err = js.Stream(ctx, bus.BucketStream(bus.BucketEndpoints)); err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	if r.attempts, err = js.Stream(ctx, bus.StreamAttempts); err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	return r, nil
}

// Batch waits until the endpoints are known that the batch is owed to. An endpoint is
// owed every event later in the stream than the reply that made or changed it. When
// that reply was given, the record stood in ENDPOINTS; the batch was fetched after its
// events were stored; so what ENDPOINTS holds after the fetch is all that matters, and
// the view has to have come as far.
func (r *Router) Batch(ctx context.Context) error {
	info, err := r.endpoints.Info(ctx)
	if err != nil {
		return err
	}
	if err := r.o.Endpoints.WaitRevision(ctx, info.State.LastSeq); err != nil {
		return fmt.Errorf("waiting for the endpoints: %w", err)
	}
	return nil
}

// Event stores the deliveries of one event and says how many they are.
func (r *Router) Event(ctx context.Context, t *role.Target, e role.Event) (stored int, err error) {
	id, kind, ok := bus.ParseEventSubject(e.Msg.Subject())
	if !ok {
		return 0, nil
	}
	var ev *pb.Event
	made := map[instance.Format][]format.Part{}
	for _, of := range []instance.ID{id, ""} {
		for _, rec := range r.o.Endpoints.ByInstance(of) {
			if !Wants(rec, kind, e.Sequence) {
				continue
			}
			if ev == nil {
				if ev, err = bus.DecodeEventMsg(e.Msg); err != nil {
					r.o.Log.Error("an event cannot be read and is not delivered", zap.Uint64("sequence", e.Sequence), zap.Error(err))
					return stored, nil
				}
				ev.Incarnation = t.Incarnation()
			}
			parts, err := r.parts(ctx, rec.GetWebhook(), ev, made)
			if err != nil {
				return stored, err
			}
			n, err := r.deliver(ctx, t, rec.GetWebhook(), ev, parts, e.Msg.Headers().Get(owed.HeaderTrace))
			stored += n
			if err != nil {
				return stored, err
			}
		}
	}
	return stored, nil
}

// parts are made once for all endpoints of a format.
func (r *Router) parts(ctx context.Context, hook *pb.Webhook, ev *pb.Event, made map[instance.Format][]format.Part) ([]format.Part, error) {
	name := instance.Format(hook.GetFormat())
	if parts, ok := made[name]; ok {
		return parts, nil
	}
	f, known := r.o.Formats.Of(hook.GetFormat())
	if !known {
		r.o.Skipped("unknown_format")
		r.o.Log.Error("an endpoint has a format that this version does not know; its event is not delivered",
			zap.String("webhook", hook.GetId()), zap.Uint64("sequence", ev.GetSequence()))
		return nil, nil
	}
	parts, err := f.Parts(ctx, ev)
	if err != nil {
		return nil, err
	}
	made[name] = parts
	return parts, nil
}

func (r *Router) deliver(ctx context.Context, t *role.Target, hook *pb.Webhook, ev *pb.Event, parts []format.Part, trace string) (stored int, err error) {
	for _, part := range parts {
		if !part.WantedBy(hook) {
			continue
		}
		o, err := owed.New(hook, ev, part)
		if err != nil {
			return stored, err
		}
		if t.FirstBatch() {
			done, err := r.tried(ctx, o)
			if err != nil {
				return stored, err
			}
			if done {
				r.o.Skipped("duplicate")
				continue
			}
		}
		m, err := owed.Encode(o, trace)
		if err != nil {
			return stored, err
		}
		if err := t.Publish(ctx, m); err != nil {
			return stored, err
		}
		stored++
	}
	return stored, nil
}

// tried says whether the log of attempts knows the delivery: then a router before us
// has stored it.
func (r *Router) tried(ctx context.Context, o *pb.OwedDelivery) (bool, error) {
	_, err := r.attempts.GetLastMsgForSubject(ctx, bus.AttemptSubject(o.GetWebhookId(), o.GetId()))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for earlier attempts: %w", err)
	}
	return true, nil
}

// Wants says whether an endpoint is owed an event: it is enabled, the kind is one of
// its own, and the event is later than the endpoint.
func Wants(rec *pb.EndpointRecord, k instance.Kind, sequence uint64) bool {
	hook := rec.GetWebhook()
	if !hook.GetEnabled() || sequence <= rec.GetFromSequence() {
		return false
	}
	kinds := hook.GetEvents()
	if len(kinds) == 0 {
		return true
	}
	return slices.Contains(kinds, string(k))
}
