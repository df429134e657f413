package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	"pairgate.dev/pkg/service"
)

const (
	// registryPing is what every member of the registry answers, by the NATS services framework.
	registryPing = "$SRV.PING.instance-registry"
	// workers is the kind of those who own instances.
	workers = "session-worker"
	// pingTimeout bounds the look at the registry.
	pingTimeout = time.Second
	// unownedFor is how long a partition may be without an owner: a take-over is no reason to send nobody here.
	unownedFor = 2 * time.Second
	// ownershipInterval is the time between two looks at the owners.
	ownershipInterval = 250 * time.Millisecond
)

// watchReadiness registers what the gateway can tell: whether it follows, whether
// the registry answers, and whether instances are owned. While there is no
// connection to NATS none of this can be known, and the condition nats says so alone.
func watchReadiness(deps Deps, views *bus.Views) (stop func(), err error) {
	observer, err := lease.Observe(deps.Bus, lease.Config{Kind: workers, Stream: bus.StreamEvents, OwnerSubject: bus.OwnerSubject,
		Partitions: instance.Partitions, Log: deps.Log})
	if err != nil {
		return nil, fmt.Errorf("gateway: owners: %w", err)
	}
	owners := &owners{observer: observer, since: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { owners.watch(ctx, deps.Bus) })

	connected := func(check func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			if !deps.Bus.Connected() {
				return nil
			}
			return check(ctx)
		}
	}
	deps.Health.Register(service.Followers, connected(func(context.Context) error { return followers(views) }))
	deps.Health.Register(service.Registry, connected(func(ctx context.Context) error { return registry(ctx, deps.Bus) }))
	deps.Health.Register(service.Ownership, connected(owners.check))
	return func() {
		cancel()
		running.Wait()
		observer.Close()
	}, nil
}

func followers(views *bus.Views) error {
	if stale := views.Stale(); len(stale) > 0 {
		return errors.New("not up to date: " + strings.Join(stale, ", "))
	}
	return nil
}

func registry(ctx context.Context, conn *bus.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_, err := conn.NATS().RequestWithContext(ctx, registryPing, nil)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrNoResponders):
		return errors.New("no instance-registry runs")
	}
	return errors.New("no instance-registry answers")
}

// owners remembers since when some partition has had no live owner.
type owners struct {
	observer *lease.Observer

	mu      sync.Mutex
	known   bool
	missing int
	since   time.Time
}

func (o *owners) watch(ctx context.Context, conn *bus.Conn) {
	tick := time.NewTicker(ownershipInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			o.look(conn.Connected())
		}
	}
}

func (o *owners) look(connected bool) {
	known := false
	select {
	case <-o.observer.Ready():
		known = true
	default:
	}
	missing := 0
	if known {
		missing = len(o.observer.Unowned())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	first := known && !o.known
	if missing == 0 || !connected || o.missing == 0 && !first {
		o.since = time.Now()
	}
	if first && missing > 0 {
		// It was so before this gateway looked.
		o.since = time.Now().Add(-unownedFor)
	}
	o.known, o.missing = known, missing
}

func (o *owners) check(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !o.known:
		return errors.New("who owns the instances is being read")
	case o.missing > 0 && time.Since(o.since) >= unownedFor:
		return fmt.Errorf("%d of %d partitions have had no live worker for %s", o.missing, instance.Partitions, unownedFor)
	}
	return nil
}
