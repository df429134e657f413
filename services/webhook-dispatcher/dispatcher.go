// Package dispatcher is the service that delivers webhooks: every event that an
// endpoint wants, signed, in the order of its instance, until the receiver has
// taken it or the schedule of retries is exhausted.
//
// A router, of which there is exactly one, turns events into messages of the
// stream DELIVERIES, which holds what is still owed; the owners of that stream's
// partitions deliver them, one lane for each endpoint and instance. Delivery is at
// least once, with an id that is the same at every attempt. A projector, of which
// there is one too, fills the queues that GREEN-API's clients pull from.
package dispatcher

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	"pairgate.dev/services/webhook-dispatcher/internal/again"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/fresh"
	"pairgate.dev/services/webhook-dispatcher/internal/global"
	"pairgate.dev/services/webhook-dispatcher/internal/history"
	"pairgate.dev/services/webhook-dispatcher/internal/lane"
	"pairgate.dev/services/webhook-dispatcher/internal/lanes"
	"pairgate.dev/services/webhook-dispatcher/internal/policy"
	"pairgate.dev/services/webhook-dispatcher/internal/retry"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

// Name of the service on NATS, in metrics and in logs.
const Name = "webhook-dispatcher"

// kindLanes is the kind of the lease for lanes; those for roles are called as the roles.
const kindLanes = Name

// How long a drain takes at most: attempts in flight, then the hand-over.
const (
	drainAttempts = 5500 * time.Millisecond
	drainRelease  = time.Second
)

// Deps are what a dispatcher is given.
type Deps struct {
	// Bus is the service's own connection, with every stream and bucket there.
	Bus     *bus.Conn
	Log     *zap.Logger
	Metrics prometheus.Registerer
	Health  *service.Health
	// Views are shared with other services of the process; nil for views of its own.
	Views *bus.Views
	// ReclaimOwn says that no other process can run under this worker's id, because
	// the caller holds the lock of the directory that the id is kept in.
	ReclaimOwn bool
	// RootCAs that receivers' certificates are checked with; nil for the system's.
	RootCAs *x509.CertPool
}

// Run delivers webhooks until ctx ends. Then it begins nothing new, lets what is
// in flight end for at most 5.5 seconds (what does not is delivered again by the
// next owner), hands its partitions over and returns nil. The error is one of the
// configuration, or of the server at the start.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	d, err := start(ctx, cfg, deps)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	d.health.Register(service.Ownership, d.ownership)
	d.health.Set(service.Ownership, nil)
	d.log.Info("delivering webhooks")
	<-ctx.Done()
	d.health.Set(service.Ownership, errors.New("the dispatcher is draining"))
	d.stop()
	return nil
}

type dispatcher struct {
	cfg      Config
	deps     Deps
	log      *zap.Logger
	health   *service.Health
	ring     *seal.Ring
	views    *bus.Views
	hooks    *global.Endpoints
	formats  format.Formats
	sender   *sender.Sender
	runner   *lanes.Runner
	history  *history.Reader
	again    *again.Again
	roles    []ownedRole
	requests *bus.Service
	managers []*lease.Manager

	// ended are the things to end, in the order in which they were begun.
	ended []func()
}

func start(ctx context.Context, cfg Config, deps Deps) (_ *dispatcher, err error) {
	d := &dispatcher{cfg: cfg.withDefaults(), deps: deps, log: deps.Log, health: deps.Health, views: deps.Views}
	if d.log == nil {
		d.log = zap.NewNop()
	}
	if d.health == nil {
		d.health = service.NewHealth()
	}
	defer func() {
		if err != nil {
			d.stop()
		}
	}()
	if d.ring, err = service.OpenRing(ctx, deps.Bus, d.cfg.MasterKey); err != nil {
		return nil, err
	}
	d.health.Set(service.Ownership, errors.New("no lease yet"))
	d.health.Set(service.Followers, errors.New("webhooks and instances are being read"))
	if d.views == nil {
		d.views = bus.NewViews(deps.Bus, d.log)
		d.ended = append(d.ended, d.views.Close)
	}
	for _, ready := range []<-chan struct{}{d.views.Endpoints.Ready(), d.views.Instances.Ready()} {
		select {
		case <-ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	d.health.Set(service.Followers, nil)
	if err := d.build(ctx); err != nil {
		return nil, err
	}
	return d, d.own(ctx)
}

// build makes the parts; nothing is owned yet.
func (d *dispatcher) build(ctx context.Context) error {
	d.sender = sender.New(sender.Options{Allow: d.cfg.WebhookAllow, RootCAs: d.deps.RootCAs,
		UserAgent: "Pairgate/" + service.BuildInfo().Version})
	d.ended = append(d.ended, d.sender.Close)
	events, err := d.deps.Bus.JetStream().Stream(ctx, bus.StreamEvents)
	if err != nil {
		return fmt.Errorf("stream %s: %w", bus.StreamEvents, err)
	}
	past := fresh.StreamReader{Stream: events}
	d.hooks = global.Over(d.views.Endpoints, d.cfg.Evolution.global())
	d.formats = d.makeFormats(past)
	limits := lane.DefaultConfig()
	limits.GlobalLimit = d.cfg.Concurrency
	limits.Rest = min(limits.Rest, d.cfg.RetrySchedule[0])
	d.runner, err = lanes.New(ctx, lanes.Options{Conn: d.deps.Bus, Endpoints: d.hooks, Formats: d.formats, Ring: d.ring,
		Sender: d.sender, Fresh: past, Lanes: limits, DrainTimeout: drainAttempts,
		Log: d.log, Metrics: d.deps.Metrics})
	if err != nil {
		return err
	}
	if d.history, err = history.New(ctx, d.deps.Bus); err != nil {
		return err
	}
	d.again, err = again.New(ctx, again.Options{Conn: d.deps.Bus, Formats: d.formats, History: d.history, Log: d.log})
	if err != nil {
		return err
	}
	return d.makeRoles()
}

// own begins to serve requests, and to claim the role and the partitions.
func (d *dispatcher) own(ctx context.Context) error {
	var err error
	d.requests, err = bus.NewService(d.deps.Bus, bus.ServiceConfig{Name: Name, Version: service.BuildInfo().Version,
		Description: "Delivers webhooks.", Log: d.log, Metrics: d.deps.Metrics})
	if err != nil {
		return err
	}
	d.ended = append(d.ended, func() {
		grace, cancel := context.WithTimeout(context.Background(), drainRelease)
		defer cancel()
		if err := d.requests.Stop(grace); err != nil {
			d.log.Warn("requests were cut off", zap.Error(err))
		}
	})
	if err := d.serve(); err != nil {
		return err
	}
	running, end := context.WithCancel(context.Background())
	var delivering sync.WaitGroup
	delivering.Go(func() { d.runner.Run(running) })
	d.ended = append(d.ended, d.release, func() { end(); delivering.Wait() })

	worker := d.cfg.WorkerID
	common := lease.Config{WorkerID: worker, Service: Name, ServiceID: d.requests.ID(), Stream: bus.StreamDeliveries,
		ReclaimOwn: d.deps.ReclaimOwn, Log: d.log, Metrics: d.deps.Metrics}
	for _, r := range d.roles {
		m, err := lease.Start(ctx, d.deps.Bus, r.lease(common), r.role)
		if err != nil {
			return fmt.Errorf("the role %s: %w", r.name, err)
		}
		d.managers = append(d.managers, m)
	}

	partitions := common
	partitions.Kind, partitions.Partitions, partitions.OwnerSubject = kindLanes, instance.Partitions, bus.LaneOwnerSubject
	m, err := lease.Start(ctx, d.deps.Bus, partitions, d.runner)
	if err != nil {
		return fmt.Errorf("the partitions of lanes: %w", err)
	}
	d.managers = append(d.managers, m)
	return nil
}

// ownership is the condition that all leases are held.
func (d *dispatcher) ownership(context.Context) error {
	for _, m := range d.managers {
		if !m.Status().Held {
			return errors.New("a lease could not be renewed; nothing is delivered here until it is held again")
		}
	}
	return nil
}

// release hands the role and the partitions over; what cannot be recorded in
// time is found by the expiry of the lease.
func (d *dispatcher) release() {
	grace, cancel := context.WithTimeout(context.Background(), drainRelease)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range d.managers {
		all.Go(func() {
			if err := m.Release(grace); err != nil {
				d.log.Warn("a lease could not be released", zap.Error(err))
			}
		})
	}
	all.Wait()
}

// stop ends what was begun, the last first.
func (d *dispatcher) stop() {
	for i := len(d.ended) - 1; i >= 0; i-- {
		d.ended[i]()
	}
	d.ended = nil
}

func (c Config) withDefaults() Config {
	native := policy.Native()
	if len(c.RetrySchedule) == 0 {
		c.RetrySchedule = retry.Default()
	}
	if c.Timeout <= 0 {
		c.Timeout = native.Timeout
	}
	if c.MaxAge <= 0 {
		c.MaxAge = native.MaxAge
	}
	if c.Concurrency <= 0 {
		c.Concurrency = lane.DefaultConfig().GlobalLimit
	}
	if c.WorkerID == "" {
		c.WorkerID = uuid.NewString()
	}
	return c
}
