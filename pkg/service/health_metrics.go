package service

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	readyDesc = prometheus.NewDesc("pairgate_ready", "1 when the process is ready, as /readyz says, else 0.", nil, nil)
	unmetDesc = prometheus.NewDesc("pairgate_condition_unmet",
		"1 for each condition that keeps the process from being ready, else 0.", []string{"condition"}, nil)
)

// ReadinessMetrics shows what /readyz says as pairgate_ready and
// pairgate_condition_unmet{condition}, asked anew at each scrape and for two
// seconds at most.
func ReadinessMetrics(h *Health) prometheus.Collector { return readiness{h} }

type readiness struct{ health *Health }

// Describe implements prometheus.Collector.
func (readiness) Describe(ch chan<- *prometheus.Desc) { ch <- readyDesc; ch <- unmetDesc }

// Collect implements prometheus.Collector.
func (r readiness) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readinessTimeout)
	defer cancel()
	ready, unmet := 1.0, map[Condition]float64{}
	for _, reason := range r.health.Reasons(ctx) {
		ready, unmet[reason.Name] = 0, 1
	}
	ch <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready)
	for _, c := range Conditions() {
		ch <- prometheus.MustNewConstMetric(unmetDesc, prometheus.GaugeValue, unmet[c], string(c))
	}
}
