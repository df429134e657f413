package lease

import (
	"context"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/instance"
)

// Partition is an ownership: a partition and the epoch under which it is owned.
type Partition struct {
	Number instance.Partition
	// Epoch is the stream sequence of the owner record. It grows at every change of owner.
	Epoch uint64
}

// Round is what one take-over brought.
type Round struct {
	// Partitions are in ascending order of their numbers; there is at least one.
	Partitions []Partition
	// Barrier is the highest epoch among them. Everything that former owners stored is
	// below it; see Read.
	Barrier uint64

	manager *Manager
}

// Read is ReadBarrier over the Manager's stream up to the round's barrier: it adds the owner
// records to the filters, and does not show them to fn. Read before the first write of the round.
func (r Round) Read(ctx context.Context, filters []string, fn func(jetstream.Msg) error) error {
	m := r.manager
	if m == nil {
		return fmt.Errorf("%w: the round was not made by a Manager", ErrConfig)
	}
	all := slices.Concat(filters, m.view.group.filters())
	return ReadBarrier(ctx, m.conn, m.cfg.Stream, all, r.Barrier, func(msg jetstream.Msg) error {
		if _, owner := m.view.numbers[msg.Subject()]; owner {
			return nil
		}
		return fn(msg)
	})
}

// Writer returns the writer of a partition, false when it is not ours any more.
func (r Round) Writer(p instance.Partition) (*Writer, bool) {
	if r.manager == nil {
		return nil, false
	}
	return r.manager.Writer(p)
}

// Handler is told which partitions the worker owns. The Manager calls it from one
// goroutine: Acquired never overlaps with another call; Lost of different partitions
// may run concurrently, at most 32 at once. The first call may come before Start has
// returned. A handler must not call Manager.Release or Manager.Close from within.
type Handler interface {
	// Acquired tells of partitions that are owned from now on. Writers exist already.
	// It should return as soon as it has read what it needs and handed the work to its
	// own goroutines, because no other take-over happens while it runs. ctx ends when Acquired
	// returns, the lease is lost or the Manager is ended; then Acquired must return at once. Lost follows for every partition in any case.
	Acquired(ctx context.Context, round Round)
	// Lost tells that a partition is not ours any more, once for each partition that
	// Acquired told of. When it returns, nothing may act for the partition: its sessions
	// are stopped. With ErrReleased in why the Writer still works until Lost returns, and
	// the next owner is let in only after that. With any other reason writes are refused,
	// somebody else may be about to start, and it has a quarter of the TTL to stop.
	Lost(p instance.Partition, why error)
}
