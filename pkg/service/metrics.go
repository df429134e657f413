package service

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewMetrics returns a registry of its own (never the library's global one)
// with the collectors of the Go runtime and the process, and
// pairgate_build_info{version,revision,go} 1.
func NewMetrics() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	b := BuildInfo()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "pairgate_build_info",
		Help:        "Always 1; what runs is in the labels.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "go": b.Go},
	})
	info.Set(1)
	reg.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}

// ForService returns a registerer that puts the label service on every metric,
// so that several services of one process can register the same names.
func ForService(reg prometheus.Registerer, name string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"service": name}, reg)
}

// MetricsHandler answers /metrics. A collector that fails costs its own metrics
// only.
func MetricsHandler(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}
