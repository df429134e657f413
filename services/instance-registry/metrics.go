package registry

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events  *prometheus.CounterVec
	swept   *prometheus.CounterVec
	behind  prometheus.Gauge
	cleaned prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (metrics, error) {
	m := metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pairgate_registry_events_total",
			Help: "Lifecycle events published, by kind."}, []string{"kind"}),
		swept: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pairgate_registry_swept_total",
			Help: "Things left behind by a crash that the sweeper removed: claims of names, numbers and tokens, and webhooks."}, []string{"what"}),
		behind: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pairgate_registry_lifecycle_pending",
			Help: "Changes of instances whose events are not derived yet, when last looked at."}),
		cleaned: prometheus.NewCounter(prometheus.CounterOpts{Name: "pairgate_registry_cleaned_total",
			Help: "Deleted instances whose events and record were removed after the retention."}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.events, m.swept, m.behind, m.cleaned} {
		if err := r.Register(c); err != nil {
			return m, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

var errStarting = errors.New("the registry is starting")
