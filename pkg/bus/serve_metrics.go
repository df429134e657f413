package bus

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"

	"pairgate.dev/pkg/instance"
)

// serviceMetrics are labelled by the subject that an endpoint serves and by the
// code of the answer, both closed lists. The label service is put on by whoever
// made the registerer; a second one of that name would be refused.
type serviceMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newServiceMetrics(cfg ServiceConfig) (*serviceMetrics, error) {
	requests, err := registerOnce(cfg.Metrics, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pairgate_bus_requests_total",
		Help: "NATS requests answered, by subject and code; the code of a success is ok.",
	}, []string{"subject", "code"}))
	if err != nil {
		return nil, err
	}
	duration, err := registerOnce(cfg.Metrics, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "pairgate_bus_request_duration_seconds",
		Help:    "Time from the arrival of a NATS request to its answer.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"subject"}))
	if err != nil {
		return nil, err
	}
	return &serviceMetrics{requests: requests, duration: duration}, nil
}

// figures are what $SRV.STATS shows of an endpoint under "data": the framework's
// own count the moment a request was accepted, not its outcome.
type figures struct {
	mu        sync.Mutex
	requests  uint64
	errors    uint64
	lastError string
	total     time.Duration
}

type figuresJSON struct {
	Requests   uint64        `json:"requests"`
	Errors     uint64        `json:"errors"`
	LastError  string        `json:"last_error,omitempty"`
	Processing time.Duration `json:"processing_time_ns"`
	Average    time.Duration `json:"average_processing_time_ns"`
	Pending    int64         `json:"pending"`
}

// observe counts an answer; p is nil for a success.
func (e *endpoint) observe(arrived time.Time, p *instance.Problem) {
	took := time.Since(arrived)
	code := "ok"
	if p != nil {
		code = string(knownCode(p.Code, p.Code.HTTPStatus()))
	}
	e.svc.metrics.requests.WithLabelValues(e.subject, code).Inc()
	e.svc.metrics.duration.WithLabelValues(e.subject).Observe(took.Seconds())

	e.figures.mu.Lock()
	defer e.figures.mu.Unlock()
	e.figures.requests++
	e.figures.total += took
	if p != nil {
		e.figures.errors++
		e.figures.lastError = code
	}
}

// stats is called by the framework for each endpoint.
func (s *Service) stats(me *micro.Endpoint) any {
	s.mu.Lock()
	e := s.endpoints[me.Name]
	s.mu.Unlock()
	if e == nil {
		return nil
	}
	e.figures.mu.Lock()
	defer e.figures.mu.Unlock()
	f := figuresJSON{Requests: e.figures.requests, Errors: e.figures.errors, LastError: e.figures.lastError,
		Processing: e.figures.total, Pending: e.pending.Load()}
	if f.Requests > 0 {
		f.Average = f.Processing / time.Duration(f.Requests)
	}
	return f
}
