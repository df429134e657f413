package role

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/services/webhook-dispatcher/internal/feed"
)

// Target is where the work of one stretch writes to.
type Target struct {
	role    *Role
	w       Writer
	work    Work
	at      bus.RolePosition
	written uint64
	first   bool
}

// Incarnation of EVENTS.
func (t *Target) Incarnation() string { return t.at.Incarnation }

// FirstBatch says that an owner before this one may have stored what is stored now.
func (t *Target) FirstBatch() bool { return t.first }

// stretch handles events from the stored position on until ctx ends or a write fails
// for good; the error says which.
func (r *Role) stretch(ctx context.Context, w Writer) error {
	t := &Target{role: r, w: w, first: true}
	var err error
	if t.work, err = r.o.Begin(ctx); err != nil {
		return err
	}
	if t.at, err = bus.ReadRolePosition(ctx, r.o.Conn, r.o.Name); err != nil {
		return err
	}
	t.written = t.at.Sequence
	r.o.Log.Info("the role is owned here", zap.String("role", r.o.Name), zap.Uint64("after", t.at.Sequence), zap.Uint64("epoch", w.Epoch()))

	events := make(chan Event, maxBatch)
	reading, stop := context.WithCancel(ctx)
	var reader sync.WaitGroup
	reader.Go(func() {
		feed.Read(reading, r.o.Conn, feed.Options{Stream: bus.StreamEvents, Filters: []string{bus.AllEvents}, From: t.at.Sequence + 1, Log: r.o.Log},
			func(m jetstream.Msg, meta *jetstream.MsgMetadata) {
				select {
				case events <- Event{m, meta.Sequence.Stream}:
				case <-reading.Done():
				}
			})
	})
	defer reader.Wait()
	defer stop()
	err = t.loop(ctx, events)
	// A writer that is being released still works: the next owner begins behind us.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
	defer cancel()
	return errors.Join(err, t.writePosition(last))
}

func (t *Target) loop(ctx context.Context, events <-chan Event) error {
	tick := time.NewTicker(positionEvery)
	defer tick.Stop()
	batch := make([]Event, 0, maxBatch)
	for {
		batch = batch[:0]
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := t.writePosition(ctx); err != nil {
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
		if err := t.handle(ctx, batch); err != nil {
			return err
		}
	}
}

func (t *Target) handle(ctx context.Context, batch []Event) error {
	if err := t.work.Batch(ctx); err != nil {
		return fmt.Errorf("%s: %w", t.role.o.Name, err)
	}
	stored := 0
	for _, e := range batch {
		n, err := t.work.Event(ctx, t, e)
		if err != nil {
			return fmt.Errorf("%s: event %d: %w", t.role.o.Name, e.Sequence, err)
		}
		stored += n
		t.at.Sequence = e.Sequence
	}
	t.first = false
	if stored == 0 {
		return nil
	}
	return t.writePosition(ctx)
}

// Publish stores one message. A full stream is waited for: whatever is passed over
// would be lost.
func (t *Target) Publish(ctx context.Context, m *nats.Msg) error {
	for {
		ack, err := t.w.PublishAck(ctx, m)
		switch {
		case err == nil && ack.Duplicate:
			t.role.o.Skipped("duplicate")
			return nil
		case err == nil:
			t.role.o.Stored()
			return nil
		case !bus.IsStreamFull(err):
			return err
		}
		t.role.o.Log.Error("the stream is full; events wait", zap.String("stream", bus.RoleTarget(t.role.o.Name)))
		if !sleep(ctx, retryPause) {
			return ctx.Err()
		}
	}
}

// writePosition lets a full stream pass: the position is one record, and the next one
// replaces it.
func (t *Target) writePosition(ctx context.Context) error {
	if t.at.Sequence == t.written {
		return nil
	}
	m, err := t.at.Message(t.role.o.Name, t.w.Epoch())
	if err != nil {
		return err
	}
	if _, err := t.w.PublishAck(ctx, m); err != nil {
		if bus.IsStreamFull(err) {
			return nil
		}
		return err
	}
	t.written = t.at.Sequence
	return nil
}
