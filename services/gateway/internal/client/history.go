package client

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

const (
	// maxHistory is how many statuses of one instance the stream keeps.
	maxHistory = 64
	// maxHistories is how many readers may read histories at once: each needs a
	// consumer for a moment, and a stream has room for so many.
	maxHistories = 8
	// historyTimeout bounds the reading, and historyIdle the life of a consumer
	// that could not be removed.
	historyTimeout = 3 * time.Second
	historyIdle    = 10 * time.Second
)

// History returns the statuses of the instance that the stream keeps, the oldest
// first: the last 64. It reads the stream itself, so it is
// for people who look, not for every request. The error is one of NATS or of ctx.
func (c *Client) History(ctx context.Context, id instance.ID) ([]*pb.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	select {
	case c.histories <- struct{}{}:
		defer func() { <-c.histories }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	js := c.conn.JetStream()
	consumer, err := js.CreateConsumer(ctx, bus.StreamEvents, jetstream.ConsumerConfig{
		FilterSubject: bus.EventSubject(id, instance.KindStatus), AckPolicy: jetstream.AckNonePolicy,
		InactiveThreshold: historyIdle, MemoryStorage: true, Replicas: 1})
	if err != nil {
		return nil, err
	}
	// Should this fail, the server removes it a moment later.
	defer func() {
		_ = js.DeleteConsumer(context.WithoutCancel(ctx), bus.StreamEvents, consumer.CachedInfo().Name)
	}()
	pending := min(consumer.CachedInfo().NumPending, maxHistory)
	if pending == 0 {
		return nil, nil
	}
	batch, err := consumer.Fetch(int(pending), jetstream.FetchMaxWait(historyTimeout/2))
	if err != nil {
		return nil, err
	}
	var events []*pb.Event
	for m := range batch.Messages() {
		ev, err := bus.DecodeEventMsg(m)
		if err != nil {
			continue // of a later version
		}
		events = append(events, ev)
	}
	return slices.Clip(events), batch.Error()
}
