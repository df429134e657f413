package lease

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one kind of worker. Managers of one kind and one registry share them.
type metrics struct {
	owned         prometheus.Gauge
	takeovers     prometheus.Counter
	losses        prometheus.Counter
	renewFailures prometheus.Counter
	refused       prometheus.Counter
	retries       prometheus.Counter
	revoked       prometheus.Counter
}

func newMetrics(r prometheus.Registerer, kind string, partitions int) (*metrics, error) {
	labels := prometheus.Labels{"kind": kind}
	var errs []error
	counter := func(name, help string) prometheus.Counter {
		c, err := register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: "pairgate_lease_" + name, Help: help, ConstLabels: labels}))
		errs = append(errs, err)
		return c
	}
	m := &metrics{
		takeovers:     counter("takeovers_total", "Partitions that this process has claimed."),
		losses:        counter("losses_total", "Partitions that this process lost against its will: by a refused write or with its lease."),
		renewFailures: counter("renew_failures_total", "Attempts to renew the lease that failed."),
		refused:       counter("fenced_writes_refused_total", "Writes that the server refused because the partition had another owner."),
		retries:       counter("write_retries_total", "Attempts of writes that had to be repeated: in flight, timed out, or no leader."),
		revoked:       counter("revocations_total", "Leases of dead workers that this process deleted."),
	}
	var err error
	m.owned, err = register(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: "pairgate_lease_owned_partitions",
		Help: "Partitions that this process owns.", ConstLabels: labels}))
	errs = append(errs, err)
	all, err := register(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: "pairgate_lease_partitions",
		Help: "Partitions that all processes of the kind own together, when each has an owner.", ConstLabels: labels}))
	errs = append(errs, err)
	all.Set(float64(partitions))
	return m, errors.Join(errs...)
}

// register registers a collector, or returns the equal one that is registered already.
func register[C prometheus.Collector](r prometheus.Registerer, c C) (C, error) {
	if r == nil {
		return c, nil
	}
	err := r.Register(c)
	if are, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, same := are.ExistingCollector.(C); same {
			return existing, nil
		}
	}
	if err != nil {
		return c, fmt.Errorf("lease: metrics: %w", err)
	}
	return c, nil
}
