package fleet

import (
	"github.com/prometheus/client_golang/prometheus"

	"pairgate.dev/pkg/instance"
)

// Metrics counts what a fleet does.
type Metrics struct {
	transitions   *prometheus.CounterVec
	refused       prometheus.Counter
	writeFailures prometheus.Counter
}

// NewMetrics registers the metrics of a fleet.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pairgate_session_transitions_total",
			Help: "Changes of phase of sessions owned by this worker, by the phase entered and its reason."}, []string{"phase", "reason"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "pairgate_session_transitions_refused_total",
			Help: "Changes of phase that the table does not allow; each is a bug."}),
		writeFailures: prometheus.NewCounter(prometheus.CounterOpts{Name: "pairgate_session_event_write_failures_total",
			Help: "Writes of events that failed and are tried again, for example because the stream is full."}),
	}
	r.MustRegister(m.transitions, m.refused, m.writeFailures)
	return m
}

// Collector counts the running sessions of the fleet by phase when it is asked.
func (f *Fleet) Collector() prometheus.Collector { return collector{f} }

type collector struct{ fleet *Fleet }

var runningDesc = prometheus.NewDesc("pairgate_sessions_running",
	"Sessions with something open or under way at this worker, by phase.", []string{"phase"}, nil)

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { ch <- runningDesc }

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	counts := map[instance.Phase]int{}
	c.fleet.each(func(m *member) {
		if phase := m.actor.Phase(); phase != "" {
			counts[phase]++
		}
	})
	for _, phase := range instance.Phases() {
		ch <- prometheus.MustNewConstMetric(runningDesc, prometheus.GaugeValue, float64(counts[phase]), string(phase))
	}
}
