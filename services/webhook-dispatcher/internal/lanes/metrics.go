package lanes

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pairgate.dev/services/webhook-dispatcher/internal/fresh"
	"pairgate.dev/services/webhook-dispatcher/internal/lane"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

// metrics carry no id of an endpoint or instance: numbers of one endpoint are in
// the log of attempts.
type metrics struct {
	attempts   *prometheus.CounterVec
	seconds    prometheus.Histogram
	latency    prometheus.Histogram
	retries    prometheus.Counter
	dropped    *prometheus.CounterVec
	dead       *prometheus.CounterVec
	blocked    prometheus.Counter
	reused     prometheus.Counter
	suppressed prometheus.Counter
	trouble    prometheus.Counter
	unlogged   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, r *Runner) (*metrics, error) {
	const ns = "pairgate_webhook_"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: ns + name, Help: help})
	}
	byReason := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + name, Help: help}, []string{"reason"})
	}
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: ns + "attempts_total",
			Help: "Attempts to deliver, by outcome (ok or the class of the failure) and first digit of the status."}, []string{"outcome", "code_class"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: ns + "attempt_seconds", Help: "Duration of an attempt.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12)}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{Name: ns + "delivery_seconds", Help: "Time from being owed to being delivered.",
			Buckets: prometheus.ExponentialBuckets(0.002, 3, 16)}),
		retries:    counter("retries_total", "Retries that were scheduled."),
		dropped:    byReason("dropped_total", "Codes and pictures that were not sent because they were of no use any more."),
		dead:       byReason("dead_letters_total", "Deliveries that were given up."),
		blocked:    counter("ssrf_blocked_total", "Attempts whose address the guard refused."),
		reused:     counter("connections_reused_total", "Attempts on a connection that was open already."),
		suppressed: counter("duplicates_suppressed_total", "Deliveries found at a take-over that had been made before."),
		trouble:    counter("trouble_total", "Times a lane waited because something on our own side failed."),
		unlogged:   counter("attempts_unlogged_total", "Attempts that could not be written to the log of attempts."),
	}
	// What is absent until it happens for the first time escapes alerts on its increase.
	for _, reason := range []string{reasonExhausted, reasonTooOld, reasonUnreadable, reasonUnknownFormat} {
		m.dead.WithLabelValues(reason)
	}
	for _, reason := range []string{fresh.Expired, fresh.Superseded} {
		m.dropped.WithLabelValues(reason)
	}
	if reg == nil {
		return m, nil
	}
	gauge := func(name, help string, value func(lane.Stats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: ns + name, Help: help}, func() float64 { return float64(value(r.Stats())) })
	}
	collectors := []prometheus.Collector{m.attempts, m.seconds, m.latency, m.retries, m.dropped, m.dead, m.blocked, m.reused,
		m.suppressed, m.trouble, m.unlogged,
		gauge("inflight", "Attempts in flight.", func(s lane.Stats) int { return s.InFlight }),
		gauge("lanes", "Lanes that are owed something.", func(s lane.Stats) int { return s.Lanes }),
		gauge("lanes_parked", "Lanes that wait for a retry.", func(s lane.Stats) int { return s.Parked }),
		gauge("endpoints_owed", "Webhooks that are owed something.", func(s lane.Stats) int { return s.Endpoints }),
		gauge("endpoints_resting", "Webhooks that are owed something and rest after failures.", func(s lane.Stats) int { return s.Resting }),
		gauge("endpoints_disabled", "Webhooks that are owed something and are disabled.", func(s lane.Stats) int { return s.DisabledEndpoints }),
		gauge("buffered_bytes", "Payloads held in memory.", func(s lane.Stats) int { return s.BufferedBytes }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: ns + "partitions_owned", Help: "Partitions of lanes owned by this process."},
			func() float64 { return float64(r.Owned()) }),
	}
	var errs []error
	for _, c := range collectors {
		errs = append(errs, reg.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("lanes: metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) attempted(res sender.Result) {
	outcome, class := "ok", "none"
	if !res.OK() {
		outcome = string(res.Error)
	}
	if res.StatusCode != 0 {
		class = strconv.Itoa(res.StatusCode/100) + "xx"
	}
	m.attempts.WithLabelValues(outcome, class).Inc()
	m.seconds.Observe(res.Duration.Seconds())
	if res.Error == sender.ErrorBlocked {
		m.blocked.Inc()
	}
	if res.Reused {
		m.reused.Inc()
	}
}

func (m *metrics) delivered(after time.Duration) { m.latency.Observe(after.Seconds()) }

// Stats counts what the lanes hold.
func (r *Runner) Stats() lane.Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machine.Stats(time.Now())
}
