package bus

import (
	"bytes"
	"context"
	"iter"
	"time"

	"go.uber.org/zap"
)

// WorkerChange is a change of a lease; Key is its key in the bucket, and an
// expiry is a deletion like any other. Every renewal is a change.
type WorkerChange = Change[[]byte]

// WorkerView holds the leases of live workers and dispatchers as they are
// stored, by their keys in the bucket.
type WorkerView struct{ follower *Follower[[]byte] }

func newWorkerView(conn *Conn, log *zap.Logger) *WorkerView {
	return &WorkerView{Follow(conn, FollowOptions[[]byte]{
		Bucket: BucketWorkers,
		Decode: func(_ string, data []byte) ([]byte, error) { return bytes.Clone(data), nil },
		Log:    log,
	})}
}

// Get returns the lease and its revision; ok is false when there is none.
func (v *WorkerView) Get(key string) (lease []byte, revision uint64, ok bool) {
	return v.follower.Get(key)
}

// All yields every lease by its key, in no order.
func (v *WorkerView) All() iter.Seq2[string, []byte] { return v.follower.All() }

// Count returns how many leases there are.
func (v *WorkerView) Count() int { return v.follower.Len() }

// Subscribe is that of Follower: fn hears of every change of a lease, in order.
func (v *WorkerView) Subscribe(fn func(WorkerChange)) (cancel func()) {
	return v.follower.Subscribe(fn)
}

// Ready is closed once every lease is held.
func (v *WorkerView) Ready() <-chan struct{} { return v.follower.Ready() }

// WaitRevision is that of Follower.
func (v *WorkerView) WaitRevision(ctx context.Context, revision uint64) error {
	return v.follower.WaitRevision(ctx, revision)
}

// SilentFor is that of Follower.
func (v *WorkerView) SilentFor() time.Duration { return v.follower.SilentFor() }
