// Package fleet runs the sessions of the partitions that a worker owns.
//
// For each owned partition it knows the last status of every instance that has
// one, and has an actor for every instance with something under way. An instance
// that rests costs its last status at most, and nothing when it never had one.
package fleet

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/session-worker/driver"
)

// Config is what a fleet needs.
type Config struct {
	Conn *bus.Conn
	// Events is the stream EVENTS.
	Events jetstream.Stream
	// Service listens to what goes straight to the owner of a session.
	Service   *bus.Service
	Instances *bus.InstanceView
	Drivers   map[instance.Provider]driver.Driver
	Ring      *seal.Ring
	// Forget is called for each instance that is not ours any more.
	Forget func(instance.ID)
	// Outdated says whether the messenger is known to refuse the client version that
	// is in force here; nil for never.
	Outdated func(instance.Provider) bool
	Backoff  instance.Backoff
	Log      *zap.Logger
	Metrics  *Metrics
}

// Fleet implements lease.Handler.
type Fleet struct {
	Config
	// slots are taken by the actors that are being taken up after a take-over.
	slots     chan struct{}
	creations creations

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu         sync.RWMutex
	partitions [instance.Partitions]*partition
}

// adoptions is how many instances are taken up at once after a take-over.
const adoptions = 256

// New returns a fleet that owns nothing.
func New(c Config) *Fleet {
	ctx, cancel := context.WithCancel(context.Background())
	return &Fleet{Config: c, slots: make(chan struct{}, adoptions), ctx: ctx, cancel: cancel}
}

// Close waits for what the fleet runs; every partition was lost before.
func (f *Fleet) Close() {
	f.cancel()
	f.wg.Wait()
}

// Follow acts on changed wishes until the returned function is called. It fails
// when the connection is closed.
func (f *Fleet) Follow() (stop func() error, err error) {
	stopCreations, err := f.creations.follow(f.Conn)
	if err != nil {
		return nil, err
	}
	stopWishes := f.followWishes()
	return func() error {
		stopWishes()
		return stopCreations()
	}, nil
}

func (f *Fleet) followWishes() (stop func()) {
	return f.Instances.Subscribe(func(c bus.InstanceChange) {
		id := instance.ID(c.Key)
		p := f.partition(id.Partition())
		switch {
		case p == nil:
		case c.Deleted:
			p.removed(id)
		default:
			p.wish(id, c.Value)
		}
	})
}

var _ lease.Handler = (*Fleet)(nil)

func (f *Fleet) partition(n instance.Partition) *partition {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.partitions[n]
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

func (f *Fleet) each(do func(*member)) {
	for n := range instance.Partition(instance.Partitions) {
		if p := f.partition(n); p != nil {
			for _, m := range p.members() {
				do(m)
			}
		}
	}
}
