// Package worker is the session worker: it owns partitions of instances, holds
// their messenger sessions, and tells what they are.
package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	"pairgate.dev/pkg/service"
	"pairgate.dev/services/session-worker/internal/fleet"
	"pairgate.dev/services/session-worker/internal/vault"
)

// Kind is the kind of the worker's lease and the name of its service.
const Kind = "session-worker"

// releaseTimeout bounds how long sessions may take to be handed over at the end.
const releaseTimeout = 7 * time.Second

// Run serves until ctx ends, then hands its partitions over and returns nil. It
// returns an error when it cannot start, for example because the master key is
// missing or another worker uses another key store.
func Run(ctx context.Context, cfg Config, deps Deps) (err error) {
	ring, err := service.OpenRing(ctx, deps.Bus, cfg.MasterKey)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	if cfg.WorkerID == "" {
		return errors.New("PAIRGATE_WORKER_ID: a worker needs a name")
	}
	deps.Health.Set(service.Ownership, errors.New("not started yet"))
	views := deps.Views
	if views == nil {
		views = bus.NewViews(deps.Bus, deps.Log)
		defer views.Close()
	}
	bucket, err := deps.Bus.KeyValue(ctx, bus.BucketVault)
	if err != nil {
		return unlessEnded(ctx, fmt.Errorf("bucket %s: %w", bus.BucketVault, err))
	}
	secrets := vault.New(bucket, ring)
	messengers, err := openMessengers(ctx, cfg, deps, secrets)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	defer func() { err = errors.Join(err, messengers.close()) }()

	api, err := bus.NewService(deps.Bus, bus.ServiceConfig{Name: Kind, Version: service.BuildInfo().Version,
		Description: "Holds the messenger sessions of instances.", Log: deps.Log, Metrics: deps.Metrics,
		Metadata: map[string]string{"worker": cfg.WorkerID}})
	if err != nil {
		return err
	}
	defer stopService(api, deps.Log)

	backoff := deps.Backoff
	if backoff.Rand == nil {
		backoff = instance.DefaultBackoff()
	}
	events, err := deps.Bus.JetStream().Stream(ctx, bus.StreamEvents)
	if err != nil {
		return unlessEnded(ctx, fmt.Errorf("stream %s: %w", bus.StreamEvents, err))
	}
	var version versionKeeper
	sessions := fleet.New(fleet.Config{Conn: deps.Bus, Events: events, Service: api, Instances: views.Instances, Drivers: messengers.drivers, Ring: ring,
		Forget: secrets.Drop, Outdated: version.outdated, Backoff: backoff, Log: deps.Log, Metrics: fleet.NewMetrics(deps.Metrics)})
	defer sessions.Close()
	deps.Metrics.MustRegister(sessions.Collector())

	select {
	case <-views.Instances.Ready():
	case <-ctx.Done():
		return nil
	}
	stopVersion, err := version.start(ctx, cfg.WhatsAppClient, cfg.WhatsAppEndpoint, deps, views.Settings, messengers.drivers[instance.WhatsApp], sessions)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	defer stopVersion()
	stop, err := sessions.Follow()
	if err != nil {
		return unlessEnded(ctx, err)
	}
	defer func() { err = errors.Join(err, stop()) }()
	manager, err := lease.Start(ctx, deps.Bus, lease.Config{Kind: Kind, WorkerID: cfg.WorkerID, ServiceID: api.ID(),
		KeyStore: messengers.keyStore, Capacity: cfg.Capacity, Stream: bus.StreamEvents, OwnerSubject: bus.OwnerSubject,
		Partitions: instance.Partitions, ReclaimOwn: deps.ReclaimOwn, Log: deps.Log, Metrics: deps.Metrics}, sessions)
	if errors.Is(err, lease.ErrKeyStoreMismatch) {
		return fmt.Errorf("%w: set PAIRGATE_PROVIDERS and PAIRGATE_WHATSAPP_DB alike in every worker; several that run WhatsApp need one PostgreSQL database", err)
	}
	if err != nil {
		return unlessEnded(ctx, err)
	}
	deps.Health.Register(service.Ownership, ownership(manager))
	deps.Health.Set(service.Ownership, nil)

	<-ctx.Done()
	releasing, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := manager.Release(releasing); err != nil {
		deps.Log.Warn("partitions were not all handed over; other workers take them when the lease expires", zap.Error(err))
	}
	return nil
}

// ownership is the readiness of a worker: its lease is valid. Which partitions
// it owns is for the deployment as a whole to judge, not for one worker.
func ownership(m *lease.Manager) func(context.Context) error {
	return func(context.Context) error {
		if !m.Status().Held {
			return errors.New("the lease could not be renewed; no session runs here until it is held again")
		}
		return nil
	}
}

func stopService(s *bus.Service, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		log.Warn("requests were cut off", zap.Error(err))
	}
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
