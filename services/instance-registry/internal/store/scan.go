package store

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
)

const (
	// scanWait is how long the next key may take.
	scanWait = 5 * time.Second
	// scanIdle is how long the server keeps the consumer of a scan that was broken off.
	scanIdle = 30 * time.Second
)

// ScanOptions say what a scan reads.
type ScanOptions struct {
	// Keys are filters such as "name.*".
	Keys []string
	// From is a sequence of the bucket's stream: every write since is read. When
	// it is 0, the last write of every key is.
	From uint64
	// WithoutValues leaves the values away.
	WithoutValues bool
}

// Scan calls fn for what a bucket holds, removals included. It ends with fn's first error.
func Scan(ctx context.Context, js jetstream.JetStream, bucket string, o ScanOptions, fn func(key string, c Cell) error) error {
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, HeadersOnly: o.WithoutValues, InactiveThreshold: scanIdle}
	if o.From != 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, o.From
	}
	for _, f := range o.Keys {
		cfg.FilterSubjects = append(cfg.FilterSubjects, bus.BucketSubject(bucket, f))
	}
	consumer, err := js.OrderedConsumer(ctx, bus.BucketStream(bucket), cfg)
	if err != nil {
		return fmt.Errorf("store: scan of %s: %w", bucket, err)
	}
	pending := consumer.CachedInfo().NumPending
	if pending == 0 {
		return nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("store: scan of %s: %w", bucket, err)
	}
	defer messages.Stop()
	for pending > 0 {
		next, cancel := context.WithTimeout(ctx, scanWait)
		msg, err := messages.Next(jetstream.NextContext(next))
		cancel()
		if err != nil {
			return fmt.Errorf("store: scan of %s: %w", bucket, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("store: scan of %s: %w", bucket, err)
		}
		pending = meta.NumPending
		_, key, ok := bus.ParseBucketSubject(msg.Subject())
		if !ok {
			continue
		}
		if err := fn(key, Cell{Present: msg.Headers().Get(bus.HeaderKVOperation) == "", Value: msg.Data(),
			Revision: meta.Sequence.Stream, Stored: meta.Timestamp}); err != nil {
			return err
		}
	}
	return nil
}

// Forget removes what a stream still holds of a removed key, up to the revision
// of its removal: what was written since stays.
func Forget(ctx context.Context, stream jetstream.Stream, bucket, key string, revision uint64) error {
	err := stream.Purge(ctx, jetstream.WithPurgeSubject(bus.BucketSubject(bucket, key)), jetstream.WithPurgeSequence(revision+1))
	if err != nil {
		return fmt.Errorf("store: forget a removed key: %w", err)
	}
	return nil
}
