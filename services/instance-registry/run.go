package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/service"
)

// Name is the name of the service on NATS and in logs.
const Name = "instance-registry"

// stopTimeout is how long requests under way may take when the process ends.
const stopTimeout = 6 * time.Second

// Deps is what the service works with. Bus is required, with every stream and
// bucket there; its caller drains it afterwards.
type Deps struct {
	Bus     *bus.Conn
	Log     *zap.Logger           // nil for none
	Metrics prometheus.Registerer // nil for none
	Health  *service.Health       // nil for none
	Views   *bus.Views            // nil for views of its own
}

// Run serves until ctx ends, and then returns nil once requests under way are
// answered, within seven seconds. Any number of processes may run it at once. It returns an error when it
// can not start: a master key that is missing or bad, a bucket that is not there.
func Run(ctx context.Context, cfg Config, deps Deps) error {
	if deps.Log == nil {
		deps.Log = zap.NewNop()
	}
	if deps.Health == nil {
		deps.Health = service.NewHealth()
	}
	deps.Health.Set(service.Registry, errStarting)
	if deps.Views == nil {
		deps.Views = bus.NewViews(deps.Bus, deps.Log)
		defer deps.Views.Close()
	}
	r, err := newRegistry(ctx, cfg, deps)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	if !r.viewsReady(ctx) {
		return nil
	}
	deps.Health.Register(service.Followers, func(context.Context) error {
		if stale := deps.Views.Stale(); len(stale) > 0 {
			return errors.New("not up to date: " + strings.Join(stale, ", "))
		}
		return nil
	})
	return r.run(ctx, deps)
}

// viewsReady waits for the views that answers are made of; it returns false when ctx ended first.
func (r *registry) viewsReady(ctx context.Context) bool {
	for _, ready := range []<-chan struct{}{r.views.Instances.Ready(), r.views.Sessions.Ready(), r.views.Endpoints.Ready()} {
		select {
		case <-ready:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (r *registry) run(ctx context.Context, deps Deps) error {
	var background sync.WaitGroup
	defer background.Wait()
	working, stop := context.WithCancel(ctx)
	defer stop()
	life := newLifecycle(r)
	background.Go(func() { life.run(working) })
	background.Go(func() { newSweeper(r, life).run(working) })
	shown := newFigures(r)
	if deps.Metrics != nil {
		if err := deps.Metrics.Register(shown); err != nil {
			return fmt.Errorf("registry: metrics: %w", err)
		}
	}
	background.Go(func() { shown.run(working) })

	svc, err := bus.NewService(r.conn, bus.ServiceConfig{Name: Name, Version: service.BuildInfo().Version,
		Description: "Instances, their wishes and their webhooks", Log: r.log, Metrics: deps.Metrics})
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	err = r.serve(svc)
	if err == nil {
		deps.Health.Set(service.Registry, nil)
		r.log.Info("serving", zap.Int("instances", r.views.Instances.Count()))
		<-ctx.Done()
	}
	deps.Health.Set(service.Registry, errors.New("the registry is stopping"))
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if stopErr := svc.Stop(grace); stopErr != nil {
		r.log.Warn("requests were cut off", zap.Error(stopErr))
	}
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}
