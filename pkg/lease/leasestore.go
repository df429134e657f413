package lease

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
)

// errConflict: the lease is not what the caller thought it was.
var errConflict = errors.New("the lease has changed")

// leaseStore keeps one lease. Any other error than those named leaves open whether
// a write was stored.
type leaseStore interface {
	// create stores the value where there is none; else errConflict.
	create(ctx context.Context, value []byte) (revision uint64, err error)
	// update replaces the value at the revision; else errConflict.
	update(ctx context.Context, value []byte, revision uint64) (uint64, error)
	// read returns the value from the leader; revision 0 when there is none.
	read(ctx context.Context) (value []byte, revision uint64, err error)
	// remove deletes the value at the revision; else errConflict.
	remove(ctx context.Context, revision uint64) error
}

// bucketStore keeps the lease in a key of WORKERS. Renewal is a plain Update: the
// age limit of the whole bucket does the expiry. A TTL on the key would be dropped
// by the first Update, and the lease would never expire.
type bucketStore struct {
	conn *bus.Conn
	kv   jetstream.KeyValue
	key  string
}

func (s *bucketStore) create(ctx context.Context, value []byte) (uint64, error) {
	rev, err := s.kv.Create(ctx, s.key, value)
	return rev, conflict(err)
}

func (s *bucketStore) update(ctx context.Context, value []byte, revision uint64) (uint64, error) {
	rev, err := s.kv.Update(ctx, s.key, value, revision)
	return rev, conflict(err)
}

func (s *bucketStore) read(ctx context.Context) ([]byte, uint64, error) {
	m, err := last(ctx, s.conn, bus.BucketStream(bus.BucketWorkers), bus.BucketSubject(bus.BucketWorkers, s.key))
	if err != nil || m.deleted {
		return nil, 0, err
	}
	return m.data, m.sequence, nil
}

func (s *bucketStore) remove(ctx context.Context, revision uint64) error {
	return conflict(s.kv.Delete(ctx, s.key, jetstream.LastRevision(revision)))
}

// conflict folds what the server and the library say about a failed condition into
// errConflict. "In flight" counts as one: the reader finds out.
func conflict(err error) error {
	switch {
	case err == nil:
		return nil
	case bus.IsStale(err), bus.IsWriteInFlight(err), errors.Is(err, jetstream.ErrKeyExists), errors.Is(err, jetstream.ErrKeyRevisionMismatch):
		return errors.Join(errConflict, err)
	}
	return err
}
