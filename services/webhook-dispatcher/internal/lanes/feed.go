package lanes

import (
	"context"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/webhook-dispatcher/internal/feed"
	"pairgate.dev/services/webhook-dispatcher/internal/lane"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
)

// laneFeed reads the partitions of one round, from their beginning. It ends
// when all of them are lost.
type laneFeed struct {
	ctx    context.Context
	cancel context.CancelFunc
	// numbers is guarded by the runner's mutex.
	numbers map[instance.Partition]struct{}
}

func newFeed(ctx context.Context) *laneFeed {
	f := &laneFeed{numbers: map[instance.Partition]struct{}{}}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f
}

func (f *laneFeed) add(p instance.Partition) { f.numbers[p] = struct{}{} }

func (f *laneFeed) remove(p instance.Partition) {
	delete(f.numbers, p)
	if len(f.numbers) == 0 {
		f.cancel()
	}
}

func (f *laneFeed) filters(r *Runner) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(f.numbers) == instance.Partitions {
		return []string{bus.AllDeliveries}
	}
	var filters []string
	for _, p := range slices.Sorted(maps.Keys(f.numbers)) {
		filters = append(filters, bus.LanesOf(p))
	}
	return filters
}

func (f *laneFeed) read(r *Runner) {
	filters := f.filters(r)
	if len(filters) == 0 {
		return
	}
	feed.Read(f.ctx, r.o.Conn, feed.Options{Stream: bus.StreamDeliveries, Filters: filters, Log: r.o.Log},
		func(m jetstream.Msg, meta *jetstream.MsgMetadata) { r.arrived(f, m, meta) })
}

func (r *Runner) arrived(f *laneFeed, m jetstream.Msg, meta *jetstream.MsgMetadata) {
	endpoint, id, ok := bus.ParseLaneSubject(m.Subject())
	if !ok {
		r.o.Log.Error("a message that is on no lane is passed over", zap.Uint64("sequence", meta.Sequence.Stream))
		return
	}
	item := &lane.Item{Seq: meta.Sequence.Stream, Stored: meta.Timestamp, Trace: m.Headers().Get(owed.HeaderTrace)}
	// What cannot be read is found again, and buried, when it is the head of its lane.
	item.Owed, _ = owed.Decode(m.Subject(), m.Data())

	number := instance.PartitionOf(endpoint)
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.partitions[number]
	if p == nil || p.leaving || p.feed != f {
		return
	}
	r.machine.Arrived(lane.Key{Endpoint: endpoint, Instance: id}, item, item.Seq <= p.barrier)
	if state, _ := r.machine.EndpointState(endpoint); state == lane.Unknown {
		rec, _, known := r.o.Endpoints.Get(endpoint)
		if known {
			r.machine.SetEndpoint(endpoint, stateOf(rec, true))
		} else {
			r.unknown[endpoint] = struct{}{}
			r.wakeResolver()
		}
	}
	r.wake()
}
