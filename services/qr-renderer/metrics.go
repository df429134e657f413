package renderer

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pairgate.dev/services/qr-renderer/internal/picture"
)

// What a picture was drawn for, as the label "for".
const (
	sourceCode    = "code"
	sourceRequest = "request"
)

// reason says why a code got no picture, as the label "reason".
type reason string

// The reasons. Only undecodable and failed are a fault.
const (
	// withdrawn: the code is empty; there is nothing to draw.
	withdrawn reason = "withdrawn"
	// expired: the code's life had ended before it was drawn or before its picture was stored.
	expired reason = "expired"
	// superseded: another code followed, or the code was withdrawn, before its picture was stored.
	superseded reason = "superseded"
	// undecodable: the message is no code.
	undecodable reason = "undecodable"
	// failed: the encoder panicked.
	failed reason = "failed"
)

func reasons() []reason { return []reason{withdrawn, expired, superseded, undecodable, failed} }

// metrics are those of the service; its requests are counted by the bus.
type metrics struct {
	drawn   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	dropped *prometheus.CounterVec
	pending prometheus.Gauge
	retries prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		drawn: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pairgate_qr_pictures_total",
			Help: "Pictures drawn, by what for."}, []string{"for"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "pairgate_qr_draw_seconds",
			Help:    "Time to draw a picture, modules included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1}}, []string{"for"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pairgate_qr_codes_dropped_total",
			Help: "Codes that got no picture, by reason."}, []string{"reason"}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pairgate_qr_codes_pending",
			Help: "Codes that wait for their picture: those in the stream when the last one was taken, and those taken and not settled."}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{Name: "pairgate_qr_publish_retries_total",
			Help: "Times the event of a picture was published again because the outcome was not known."}),
	}
	for _, what := range []string{sourceCode, sourceRequest} {
		m.drawn.WithLabelValues(what)
		m.seconds.WithLabelValues(what)
	}
	for _, why := range reasons() {
		m.dropped.WithLabelValues(string(why))
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.drawn, m.seconds, m.dropped, m.pending, m.retries} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("renderer: metrics: %w", err)
		}
	}
	return m, nil
}

// draw draws and counts; a picture that is refused is not counted.
func (m *metrics) draw(what, text string, o picture.Options) (picture.Picture, error) {
	start := time.Now()
	p, err := picture.Draw(text, o)
	if err == nil {
		m.drawn.WithLabelValues(what).Inc()
		m.seconds.WithLabelValues(what).Observe(time.Since(start).Seconds())
	}
	return p, err
}

func (m *metrics) drop(why reason) { m.dropped.WithLabelValues(string(why)).Inc() }
