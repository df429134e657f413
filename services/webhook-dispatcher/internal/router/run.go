package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/feed"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
)

// run is one stretch of routing.
type run struct {
	*Router
	w          Writer
	endpoints  jetstream.Stream
	attempts   jetstream.Stream
	at         bus.RolePosition
	written    uint64
	afterCrash bool
}

// Route routes events from the stored position on until ctx ends or a write
// fails for good; the error says which.
func (r *Router) Route(ctx context.Context, w Writer) error {
	s := &run{Router: r, w: w, afterCrash: true}
	js := r.o.Conn.JetStream()
	var err error
	if s.endpoints, err = js.Stream(ctx, bus.BucketStream(bus.BucketEndpoints)); err != nil {
		return fmt.Errorf("router: %w", err)
	}
	if s.attempts, err = js.Stream(ctx, bus.StreamAttempts); err != nil {
		return fmt.Errorf("router: %w", err)
	}
	if s.at, err = bus.ReadRolePosition(ctx, r.o.Conn, bus.RoleRouter); err != nil {
		return err
	}
	s.written = s.at.Sequence
	r.o.Log.Info("routing events", zap.Uint64("after", s.at.Sequence), zap.Uint64("epoch", w.Epoch()))

	events := make(chan incoming, maxBatch)
	reading, stop := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() {
		feed.Read(reading, r.o.Conn, feed.Options{Stream: bus.StreamEvents, Filters: []string{bus.AllEvents}, From: s.at.Sequence + 1, Log: r.o.Log},
			func(m jetstream.Msg, meta *jetstream.MsgMetadata) {
				select {
				case events <- incoming{m, meta.Sequence.Stream}:
				case <-reading.Done():
				}
			})
	})
	defer reader.Wait()
	defer stop()
	err = s.loop(ctx, events)
	// A writer that is being released still works: the next owner begins behind us.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
	defer cancel()
	return errors.Join(err, s.writePosition(last))
}

type incoming struct {
	msg      jetstream.Msg
	sequence uint64
}

func (s *run) loop(ctx context.Context, events <-chan incoming) error {
	tick := time.NewTicker(positionEvery)
	defer tick.Stop()
	batch := make([]incoming, 0, maxBatch)
	for {
		batch = batch[:0]
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := s.writePosition(ctx); err != nil {
				return err
			}
			continue
		case e := <-events:
			batch = append(batch, e)
		}
		for more := true; more && len(batch) < maxBatch; {
			select {
			case e := <-events:
				batch = append(batch, e)
			default:
				more = false
			}
		}
		if err := s.route(ctx, batch); err != nil {
			return err
		}
	}
}

// route stores the deliveries of a batch. An endpoint is owed every event later
// in the stream than the reply that made or changed it. When that reply was
// given, the record stood in ENDPOINTS; the batch was fetched after its events
// were stored; so what ENDPOINTS holds after the fetch is all that matters, and
// the view has to have come as far.
func (s *run) route(ctx context.Context, batch []incoming) error {
	info, err := s.endpoints.Info(ctx)
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	if err := s.o.Endpoints.WaitRevision(ctx, info.State.LastSeq); err != nil {
		return fmt.Errorf("router: waiting for the endpoints: %w", err)
	}
	stored := 0
	for _, e := range batch {
		n, err := s.event(ctx, e)
		if err != nil {
			return err
		}
		stored += n
		s.at.Sequence = e.sequence
	}
	s.afterCrash = false
	if stored == 0 {
		return nil
	}
	return s.writePosition(ctx)
}

// event stores the deliveries of one event and says how many they are.
func (s *run) event(ctx context.Context, e incoming) (stored int, err error) {
	id, kind, ok := bus.ParseEventSubject(e.msg.Subject())
	if !ok {
		return 0, nil
	}
	var ev *pb.Event
	var bodies map[instance.Format]rendered
	for _, of := range []instance.ID{id, ""} {
		for _, rec := range s.o.Endpoints.ByInstance(of) {
			if !Wants(rec, kind, e.sequence) {
				continue
			}
			if ev == nil {
				if ev, err = bus.DecodeEventMsg(e.msg); err != nil {
					s.o.Log.Error("an event cannot be read and is not delivered", zap.Uint64("sequence", e.sequence), zap.Error(err))
					return stored, nil
				}
				ev.Incarnation = s.at.Incarnation
				bodies = map[instance.Format]rendered{}
			}
			n, err := s.deliver(ctx, rec, ev, bodies, e.msg.Headers().Get(owed.HeaderTrace))
			if err != nil {
				return stored, err
			}
			stored += n
		}
	}
	return stored, nil
}

type rendered struct {
	body      []byte
	mediaType string
	ok        bool
}

func (s *run) deliver(ctx context.Context, rec *pb.EndpointRecord, ev *pb.Event, bodies map[instance.Format]rendered, trace string) (int, error) {
	hook := rec.GetWebhook()
	name := instance.Format(hook.GetFormat())
	r, made := bodies[name]
	if !made {
		f, known := s.o.Formats.Of(string(name))
		if !known {
			s.o.Skipped("unknown_format")
			s.o.Log.Error("an endpoint has a format that this version does not know; its event is not delivered",
				zap.String("webhook", hook.GetId()), zap.Uint64("sequence", ev.GetSequence()))
		} else {
			var err error
			if r.body, r.mediaType, r.ok, err = f.Body(ev); err != nil {
				return 0, fmt.Errorf("router: event %d: %w", ev.GetSequence(), err)
			}
		}
		bodies[name] = r
	}
	if !r.ok {
		return 0, nil
	}
	o := owed.New(hook.GetId(), ev, r.body, r.mediaType, format.Expires(ev))
	if s.afterCrash {
		done, err := s.tried(ctx, o)
		if err != nil {
			return 0, err
		}
		if done {
			s.o.Skipped("duplicate")
			return 0, nil
		}
	}
	m, err := owed.Encode(o, trace)
	if err != nil {
		return 0, err
	}
	return 1, s.publish(ctx, m)
}

// tried says whether the log of attempts knows the delivery: then a router
// before us has stored it.
func (s *run) tried(ctx context.Context, o *pb.OwedDelivery) (bool, error) {
	_, err := s.attempts.GetLastMsgForSubject(ctx, bus.AttemptSubject(o.GetWebhookId(), o.GetId()))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("router: looking for earlier attempts: %w", err)
	}
	return true, nil
}

// publish stores one delivery. A full stream is waited for: whatever is passed
// over would be lost.
func (s *run) publish(ctx context.Context, m *nats.Msg) error {
	for {
		ack, err := s.w.PublishAck(ctx, m)
		switch {
		case err == nil && ack.Duplicate:
			s.o.Skipped("duplicate")
			return nil
		case err == nil:
			s.o.Routed()
			return nil
		case !bus.IsStreamFull(err):
			return err
		}
		s.o.Log.Error("the stream of deliveries is full; events wait")
		if !sleep(ctx, retryPause) {
			return ctx.Err()
		}
	}
}

func (s *run) writePosition(ctx context.Context) error {
	if s.at.Sequence == s.written {
		return nil
	}
	m, err := s.at.Message(bus.RoleRouter, s.w.Epoch())
	if err != nil {
		return err
	}
	if err := s.publishPosition(ctx, m); err != nil {
		return err
	}
	s.written = s.at.Sequence
	return nil
}

// publishPosition lets a full stream pass: the position is one record, and the
// next one replaces it.
func (s *run) publishPosition(ctx context.Context, m *nats.Msg) error {
	if _, err := s.w.PublishAck(ctx, m); err != nil && !bus.IsStreamFull(err) {
		return err
	}
	return nil
}

// Wants says whether an endpoint is owed an event: it is enabled, the kind is one
// of its own, and the event is later than the endpoint.
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
