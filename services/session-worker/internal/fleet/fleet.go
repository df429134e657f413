// Package fleet runs the sessions of the partitions that a worker owns.
//
// For each owned partition it knows the last status of every instance that has
// one, and has an actor for every instance with something under way. An instance
// that rests costs its last status at most, and nothing when it never had one.
package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/internal/outbox"
)

// Config is what a fleet needs.
type Config struct {
	Conn *bus.Conn
	// Service listens to what goes straight to the owner of a session.
	Service   *bus.Service
	Instances *bus.InstanceView
	Drivers   map[instance.Provider]driver.Driver
	Ring      *seal.Ring
	// Forget is called for each instance that is not ours any more.
	Forget func(instance.ID)
	// Incarnation is the creation time of EVENTS, which every event carries.
	Incarnation string
	Backoff     instance.Backoff
	// Adoptions is how many instances are taken up at once after a take-over; 0 for 256.
	Adoptions int
	Log       *zap.Logger
	Metrics   *Metrics
}

// Fleet implements lease.Handler.
type Fleet struct {
	Config
	slots chan struct{}
	// bound is closed once manager is set: the manager may call before whoever started it has it.
	bound   chan struct{}
	manager *lease.Manager

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu         sync.RWMutex
	partitions [instance.Partitions]*partition
}

// New returns a fleet that owns nothing. Start its manager with it as the handler, then call Bind.
func New(c Config) *Fleet {
	if c.Adoptions <= 0 {
		c.Adoptions = 256
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Fleet{Config: c, slots: make(chan struct{}, c.Adoptions), bound: make(chan struct{}), ctx: ctx, cancel: cancel}
}

// Bind tells the fleet its manager. It is called once.
func (f *Fleet) Bind(m *lease.Manager) {
	f.manager = m
	close(f.bound)
}

// Close waits for what the fleet runs; every partition was lost before.
func (f *Fleet) Close() {
	f.cancel()
	f.wg.Wait()
}

// Follow acts on changed wishes until the returned function is called.
func (f *Fleet) Follow() (stop func()) {
	return f.Instances.Subscribe(func(c bus.InstanceChange) {
		if c.Deleted {
			return
		}
		id := instance.ID(c.Key)
		if p := f.partition(id.Partition()); p != nil {
			p.wish(id, c.Value)
		}
	})
}

func (f *Fleet) partition(n instance.Partition) *partition {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.partitions[n]
}

// Acquired implements lease.Handler: it reads every status once, then takes up
// what needs it.
func (f *Fleet) Acquired(ctx context.Context, round lease.Round) {
	started := time.Now()
	select {
	case <-f.bound:
	case <-ctx.Done():
		return
	}
	parts := map[instance.Partition]*partition{}
	for _, owned := range round.Partitions {
		writer, ok := f.manager.Writer(owned.Number)
		if !ok {
			continue
		}
		p := newPartition(f, owned, outbox.New(writer, f.Log, f.Metrics.writeFailures.Inc))
		parts[owned.Number] = p
	}
	f.mu.Lock()
	for n, p := range parts {
		f.partitions[n] = p
	}
	f.mu.Unlock()

	statuses := []string{bus.EventsOfKind(instance.KindStatus)}
	err := round.Read(ctx, statuses, statusReader(f.Log, func(id instance.ID, s instance.Status) {
		if p := parts[id.Partition()]; p != nil {
			p.last[id] = &s
		}
	}))
	if err != nil {
		return // The lease is lost, and Lost follows.
	}
	for _, p := range parts {
		if err := p.serve(); err != nil {
			f.Log.Error("passwords and touches cannot be taken for a partition", zap.Stringer("partition", p.number), zap.Error(err))
		}
	}
	pending := f.pending(parts)
	f.Log.Info("took over partitions", zap.Int("partitions", len(parts)), zap.Int("instances", len(pending)),
		zap.Duration("took", time.Since(started)))
	if len(pending) > 0 {
		f.wg.Go(func() { f.takeUp(pending) })
	}
}

// pending opens the partitions for wishes and returns the instances that need an actor now.
func (f *Fleet) pending(parts map[instance.Partition]*partition) []*pb.InstanceRecord {
	for _, p := range parts {
		p.open()
	}
	var pending []*pb.InstanceRecord
	for record := range f.Instances.All() {
		id := instance.ID(record.GetInstance().GetId())
		if p := parts[id.Partition()]; p != nil && p.needsActor(id, record, true) {
			pending = append(pending, record)
		}
	}
	return pending
}

// takeUp starts actors, a bounded number at a time, so that a worker that takes
// over many sessions does not throw them all at the messenger at once.
func (f *Fleet) takeUp(records []*pb.InstanceRecord) {
	for _, record := range records {
		select {
		case f.slots <- struct{}{}:
		case <-f.ctx.Done():
			return
		}
		id := instance.ID(record.GetInstance().GetId())
		p := f.partition(id.Partition())
		if p == nil || !p.start(id, record, true) {
			<-f.slots
		}
	}
}

// Lost implements lease.Handler: when it returns nothing of the partition runs.
func (f *Fleet) Lost(n instance.Partition, why error) {
	f.mu.Lock()
	p := f.partitions[n]
	f.partitions[n] = nil
	f.mu.Unlock()
	if p != nil {
		p.close(why)
	}
}

// VersionChanged tells every running session of the provider that the client version is another one now.
func (f *Fleet) VersionChanged(provider instance.Provider) {
	f.each(func(m *member) {
		if m.provider == provider {
			m.actor.VersionChanged()
		}
	})
}

func (f *Fleet) each(do func(*member)) {
	for n := range instance.Partition(instance.Partitions) {
		if p := f.partition(n); p != nil {
			for _, m := range p.members() {
				do(m)
			}
		}
	}
}

// message makes the message of an event.
func (f *Fleet) message(e *pb.Event) (*nats.Msg, error) {
	e.Incarnation = f.Incarnation
	return bus.EncodeEvent(e)
}
