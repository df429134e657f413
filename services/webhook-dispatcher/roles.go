package dispatcher

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	"pairgate.dev/services/webhook-dispatcher/internal/projector"
	"pairgate.dev/services/webhook-dispatcher/internal/role"
	"pairgate.dev/services/webhook-dispatcher/internal/router"
)

// ownedRole is a role that one dispatcher of the deployment has.
type ownedRole struct {
	name string
	// owner is the subject of the owner's record, in the role's target.
	owner string
	role  *role.Role
}

// lease is what a lease of the role is like.
func (r ownedRole) lease(common lease.Config) lease.Config {
	common.Kind, common.Partitions, common.Stream = r.name, 1, bus.RoleTarget(r.name)
	common.OwnerSubject = func(instance.Partition) string { return r.owner }
	return common
}

// makeRoles makes the router and the projector; neither is owned yet.
func (d *dispatcher) makeRoles() error {
	routed, skipped, err := roleMetrics(d.deps.Metrics, "webhook", "routed", "routing", "Deliveries that became owed.",
		"Deliveries that did not become owed, because they were already, or because of an unknown format.")
	if err != nil {
		return err
	}
	d.addRole(bus.RoleRouter, bus.RoleSubject(bus.RoleRouter), routed, skipped, func(ctx context.Context) (role.Work, error) {
		return router.New(ctx, router.Options{Conn: d.deps.Bus, Endpoints: d.hooks, Formats: d.formats, Log: d.log, Skipped: count(skipped)})
	})
	queued, repeated, err := roleMetrics(d.deps.Metrics, "queue", "notifications", "notifications", "Notifications that were queued for GREEN-API's clients.",
		"Notifications that were not queued, because they were already.")
	if err != nil {
		return err
	}
	d.addRole(bus.RoleProjector, bus.QueueOwnerSubject(bus.RoleProjector), queued, repeated, func(ctx context.Context) (role.Work, error) {
		return projector.New(ctx, projector.Options{Conn: d.deps.Bus, Endpoints: d.views.Endpoints, Instances: d.views.Instances, Log: d.log, Skipped: count(repeated)})
	})
	return nil
}

func (d *dispatcher) addRole(name, owner string, stored prometheus.Counter, skipped *prometheus.CounterVec, begin func(context.Context) (role.Work, error)) {
	d.roles = append(d.roles, ownedRole{name: name, owner: owner, role: role.New(role.Options{Conn: d.deps.Bus, Name: name, Begin: begin, Log: d.log,
		Stored: stored.Inc, Skipped: count(skipped)})})
}

func count(by *prometheus.CounterVec) func(reason string) {
	return func(reason string) { by.WithLabelValues(reason).Inc() }
}

func roleMetrics(reg prometheus.Registerer, about, stored, skipping, help, skippedHelp string) (prometheus.Counter, *prometheus.CounterVec, error) {
	done := prometheus.NewCounter(prometheus.CounterOpts{Name: "pairgate_" + about + "_" + stored + "_total", Help: help})
	skipped := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pairgate_" + about + "_" + skipping + "_skipped_total", Help: skippedHelp}, []string{"reason"})
	if reg == nil {
		return done, skipped, nil
	}
	return done, skipped, errors.Join(reg.Register(done), reg.Register(skipped))
}
