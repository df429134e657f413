package lease

import (
	"context"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/instance"
)

// Writer returns the writer of a partition, false when it is not ours.
func (m *Manager) Writer(p instance.Partition) (*Writer, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok := m.parts[p]
	if !ok {
		return nil, false
	}
	return h.writer, true
}

// Owned returns how many partitions are ours.
func (m *Manager) Owned() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.parts)
}

// ReadRound is ReadBarrier over the Manager's stream for a round: it adds the owner
// records to the filters, and does not show them to fn.
func (m *Manager) ReadRound(ctx context.Context, round Round, filters []string, fn func(jetstream.Msg) error) error {
	all := slices.Concat(filters, m.view.group.filters())
	return ReadBarrier(ctx, m.conn, m.cfg.Stream, all, round.Barrier, func(msg jetstream.Msg) error {
		if _, owner := m.view.numbers[msg.Subject()]; owner {
			return nil
		}
		return fn(msg)
	})
}
