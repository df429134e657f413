// Package store is how the registry reads and writes its buckets: one value
// under one key at a time, each write conditional on the revision that it
// replaces, each read through the leader.
//
// A write that nobody answered is never guessed about: every write carries a
// mark of its own, and is looked for by it before it is sent again.
package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
)

var (
	// ErrConflict: the key no longer has the expected revision. Nothing was written.
	ErrConflict = errors.New("store: the key was changed meanwhile")
	// ErrUnavailable: no answer from the server in time. A write may have been stored.
	ErrUnavailable = errors.New("store: no answer in time")
)

// Cell is what a key holds.
type Cell struct {
	// Present is false for a key that was never written or is removed.
	Present bool
	Value   []byte
	// Revision is what the next write is conditional on: 0 for a key without history.
	Revision uint64
	// Stored is the server's time of the last write.
	Stored time.Time

	mark string
}

// Bucket is a key-value bucket. A Put or Remove whose expected revision is not
// the key's last one returns ErrConflict. Methods try again until ctx ends, and
// then return ErrUnavailable.
type Bucket interface {
	Get(ctx context.Context, key string) (Cell, error)
	Put(ctx context.Context, key string, value []byte, expected uint64) (revision uint64, err error)
	Remove(ctx context.Context, key string, expected uint64) error
	// Keys lists the keys that a filter such as "token.x.*" matches, removed ones among them.
	Keys(ctx context.Context, filter string) ([]string, error)
}

const (
	// headerMark tells writes apart whose value and key are equal.
	headerMark = "Pairgate-Write"
	// attemptTimeout is how long one attempt waits for the server.
	attemptTimeout = 2 * time.Second
	firstPause     = 2 * time.Millisecond
	longestPause   = 250 * time.Millisecond
)

type bucket struct {
	name   string
	js     jetstream.JetStream
	stream jetstream.Stream
}

// Open binds to a bucket that bus.Ensure has made.
func Open(ctx context.Context, js jetstream.JetStream, name string) (Bucket, error) {
	stream, err := js.Stream(ctx, bus.BucketStream(name))
	if err != nil {
		return nil, fmt.Errorf("store: bucket %s: %w", name, err)
	}
	return &bucket{name: name, js: js, stream: stream}, nil
}

func (b *bucket) Get(ctx context.Context, key string) (Cell, error) {
	var cell Cell
	err := persist(ctx, func(ctx context.Context) error {
		msg, err := b.stream.GetLastMsgForSubject(ctx, bus.BucketSubject(b.name, key))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			cell = Cell{}
			return nil
		}
		if err != nil {
			return err
		}
		cell = Cell{Present: msg.Header.Get(bus.HeaderKVOperation) == "", Value: msg.Data, Revision: msg.Sequence,
			Stored: msg.Time, mark: msg.Header.Get(headerMark)}
		return nil
	})
	return cell, err
}

func (b *bucket) Put(ctx context.Context, key string, value []byte, expected uint64) (uint64, error) {
	msg := nats.NewMsg(bus.BucketSubject(b.name, key))
	msg.Data = value
	return b.publish(ctx, key, msg, expected)
}

func (b *bucket) Remove(ctx context.Context, key string, expected uint64) error {
	msg := nats.NewMsg(bus.BucketSubject(b.name, key))
	msg.Header.Set(bus.HeaderKVOperation, "PURGE")
	msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	_, err := b.publish(ctx, key, msg, expected)
	return err
}

func (b *bucket) Keys(ctx context.Context, filter string) ([]string, error) {
	subjects, err := Subjects(ctx, b.stream, bus.BucketSubject(b.name, filter))
	keys := make([]string, 0, len(subjects))
	for s := range subjects {
		if _, key, ok := bus.ParseBucketSubject(s); ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, err
}

// Subjects returns how many messages a stream holds on each subject that the
// filter matches, as its leader says.
func Subjects(ctx context.Context, stream jetstream.Stream, filter string) (map[string]uint64, error) {
	var subjects map[string]uint64
	err := persist(ctx, func(ctx context.Context) error {
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
		if err == nil {
			subjects = info.State.Subjects
		}
		return err
	})
	return subjects, err
}

// LastSequence returns the last sequence of a stream, as its leader says.
func LastSequence(ctx context.Context, js jetstream.JetStream, stream string) (uint64, error) {
	var last uint64
	err := persist(ctx, func(ctx context.Context) error {
		s, err := js.Stream(ctx, stream)
		if err == nil {
			last = s.CachedInfo().State.LastSeq
		}
		return err
	})
	return last, err
}

func (b *bucket) publish(ctx context.Context, key string, msg *nats.Msg, expected uint64) (uint64, error) {
	mark := uuid.NewString()
	msg.Header.Set(headerMark, mark)
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(expected, 10))
	var revision uint64
	doubtful := false
	err := persist(ctx, func(ctx context.Context) error {
		if doubtful {
			cell, err := b.Get(ctx, key)
			if err != nil {
				return err
			}
			if cell.mark == mark {
				revision = cell.Revision
				return nil
			}
			// A later write may hide ours; that ours stood for a moment makes no
			// difference to a caller who has to read again anyway.
			if cell.Revision != expected {
				return ErrConflict
			}
		}
		ack, err := b.js.PublishMsg(ctx, msg)
		switch {
		case err == nil:
			revision = ack.Sequence
			return nil
		case bus.IsStale(err) && !doubtful:
			return ErrConflict
		case !bus.IsWriteInFlight(err):
			doubtful = true
		}
		return err
	})
	return revision, err
}

// persist repeats an attempt that got no answer until ctx ends. Refusals that
// will not change are returned at once.
func persist(ctx context.Context, attempt func(context.Context) error) error {
	pause := firstPause
	for {
		once, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := attempt(once)
		cancel()
		if err == nil || errors.Is(err, ErrConflict) {
			return err
		}
		if !bus.IsRetryable(err) && !bus.IsStale(err) && !errors.Is(err, ErrUnavailable) {
			return fmt.Errorf("store: %w", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		case <-timer.C:
		}
		pause = min(2*pause, longestPause)
	}
}
