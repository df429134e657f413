package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what is served.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	// Streams is how many Server-Sent Events streams are open.
	Streams prometheus.Gauge
	// Cut counts streams that were ended because their client did not keep up.
	Cut prometheus.Counter
}

// NewMetrics registers the metrics; r may be nil for none. The error is that of the registerer.
func NewMetrics(r prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pairgate_http_requests_total",
			Help: "HTTP requests by route pattern, method and class of status."}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "pairgate_http_request_duration_seconds",
			Help:    "Time from a request's headers to the end of its answer, by route pattern; streams and waits included.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}}, []string{"route"}),
		Streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pairgate_http_event_streams",
			Help: "Server-Sent Events streams that are open."}),
		Cut: prometheus.NewCounter(prometheus.CounterOpts{Name: "pairgate_http_event_streams_cut_total",
			Help: "Server-Sent Events streams ended because the client did not keep up."}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.Streams, m.Cut} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) observe(route, method string, status int, took time.Duration) {
	if m == nil {
		return
	}
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, methodLabel(method), strconv.Itoa(status/100)+"xx").Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// methodLabel keeps what callers make up out of labels.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
