package lease

import (
	"context"

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
	// below it; see Manager.ReadRound.
	Barrier uint64
}

// Handler is told which partitions the worker owns. The Manager calls it from one
// goroutine: Acquired never overlaps with another call; Lost of different partitions
// may run concurrently, at most 32 at once. A handler must not call Manager.Release
// or Manager.Close from within; Manager.Writer and Manager.ReadRound are fine.
type Handler interface {
	// Acquired tells of partitions that are owned from now on. Writers exist already.
	// It should return as soon as it has read what it needs and handed the work to its
	// own goroutines, because no other take-over happens while it runs. ctx lives until
	// Acquired returns or the lease is lost, whichever comes first; when it ends,
	// Acquired must return at once. Lost follows for every partition in any case.
	Acquired(ctx context.Context, round Round)
	// Lost tells that a partition is not ours any more, once for each partition that
	// Acquired told of. When it returns, nothing may act for the partition: its sessions
	// are stopped. With ErrReleased in why the Writer still works until Lost returns, and
	// the next owner is let in only after that. With any other reason writes are refused,
	// somebody else may be about to start, and it has a quarter of the TTL to stop.
	Lost(p instance.Partition, why error)
}
