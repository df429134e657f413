package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// batch is how many messages are asked for at once.
	batch = 500
	// inactive is how long the server keeps the consumer of a reader that vanished.
	inactive = 10 * time.Second
	// farewell is how long the deletion of a consumer may take.
	farewell = time.Second
)

var errGap = errors.New("messages were lost on the way")

// Scan calls each, from this goroutine, for every message that the consumer finds in
// the stream as it is now, until each returns false. Messages that are deleted
// meanwhile may be left out. The error is the server's, or ctx's.
//
// An ordered consumer would wait for ever for a message that is deleted before it is
// sent, because it was counted as pending.
func Scan(ctx context.Context, js jetstream.JetStream, stream string, cfg jetstream.ConsumerConfig,
	each func(jetstream.Msg, *jetstream.MsgMetadata) (more bool),
) error {
	cfg.AckPolicy, cfg.MemoryStorage, cfg.Replicas, cfg.InactiveThreshold = jetstream.AckNonePolicy, true, 1, inactive
	consumer, err := js.CreateConsumer(ctx, stream, cfg)
	if err != nil {
		return fmt.Errorf("reading %s: %w", stream, err)
	}
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = js.DeleteConsumer(bye, stream, consumer.CachedInfo().Name) // or it is gone a while later
	}()
	read, there := uint64(0), consumer.CachedInfo().NumPending
	for more := there > 0; more; {
		if more, err = fetch(ctx, consumer, &read, there, each); err != nil {
			return fmt.Errorf("reading %s: %w", stream, err)
		}
	}
	return nil
}

// fetch reads what there is, up to a batch; read counts, up to all that there are.
func fetch(ctx context.Context, consumer jetstream.Consumer, read *uint64, there uint64, each func(jetstream.Msg, *jetstream.MsgMetadata) bool) (more bool, err error) {
	messages, err := consumer.FetchNoWait(batch)
	if err != nil {
		return false, err
	}
	before := *read
	for m := range messages.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			return false, err
		}
		if *read++; meta.Sequence.Consumer != *read {
			return false, errGap
		}
		if !each(m, meta) || *read >= there {
			return false, ctx.Err()
		}
	}
	if err := messages.Error(); err != nil && !errors.Is(err, jetstream.ErrNoMessages) {
		return false, err
	}
	if *read > before || ctx.Err() != nil {
		return true, ctx.Err()
	}
	// Nothing came: either what was there was deleted, or the server is slow.
	info, err := consumer.Info(ctx)
	if err != nil {
		return false, err
	}
	return info.NumPending > 0, nil
}
