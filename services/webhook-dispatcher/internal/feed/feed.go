// Package feed reads a stream in order, for as long as it is asked to.
package feed

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
)

// Options of Read.
type Options struct {
	Stream  string
	Filters []string
	// From is the first number wanted; 0 for the beginning.
	From uint64
	Log  *zap.Logger
}

// The pauses after a failure to read, and how many messages are asked for at once.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	batch      = 256
	// inactive is how long the server keeps the consumer of a reader that vanished.
	inactive = 30 * time.Second
)

// Read calls each for every message that matches, in the order of the stream
// and each once, those to come included, until ctx ends. What breaks is begun
// again behind the last message. It calls each from the goroutine that it is
// called on.
func Read(ctx context.Context, conn *bus.Conn, o Options, each func(jetstream.Msg, *jetstream.MsgMetadata)) {
	next, pause := o.From, firstPause
	for ctx.Err() == nil {
		before := next
		err := read(ctx, conn, o, &next, each)
		if ctx.Err() != nil {
			return
		}
		if next > before {
			pause = firstPause
		}
		o.Log.Warn("reading begins again", zap.String("stream", o.Stream), zap.Uint64("from", next), zap.Error(err))
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		pause = min(2*pause, maxPause)
	}
}

func read(ctx context.Context, conn *bus.Conn, o Options, next *uint64, each func(jetstream.Msg, *jetstream.MsgMetadata)) error {
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: o.Filters, DeliverPolicy: jetstream.DeliverAllPolicy,
		InactiveThreshold: inactive}
	if *next > 1 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, *next
	}
	consumer, err := conn.JetStream().OrderedConsumer(ctx, o.Stream, cfg)
	if err != nil {
		return fmt.Errorf("making a consumer: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(batch))
	if err != nil {
		return fmt.Errorf("asking for messages: %w", err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for {
		m, err := messages.Next()
		if err != nil {
			return fmt.Errorf("waiting for a message: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("message without metadata: %w", err)
		}
		if meta.Sequence.Stream < *next {
			continue
		}
		*next = meta.Sequence.Stream + 1
		each(m, meta)
	}
}
