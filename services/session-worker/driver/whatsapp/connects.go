package whatsapp

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"pairgate.dev/pkg/instance"
)

// DefaultConnectsPerSecond is how many connections a driver begins each second, unless told otherwise.
const DefaultConnectsPerSecond = 50

// connects spaces out the connections of a process: many sessions that were lost
// together must not come back together, or the messenger takes it for an attack.
type connects struct {
	limit    *rate.Limiter
	outcomes *prometheus.CounterVec
	waiting  prometheus.Gauge
}

func newConnects(perSecond float64, r prometheus.Registerer) (*connects, error) {
	c := &connects{
		limit: rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/5))),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pairgate_whatsapp_connects_total",
			Help: "Connections to WhatsApp that were begun, by how they went: connected, or the reason why not."}, []string{"outcome"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pairgate_whatsapp_connects_waiting",
			Help: "Sessions that wait for their turn to connect to WhatsApp."}),
	}
	if r != nil {
		if err := errors.Join(r.Register(c.outcomes), r.Register(c.waiting)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// wait returns when it is the caller's turn; an error when ctx ended before.
func (c *connects) wait(ctx context.Context) error {
	c.waiting.Inc()
	defer c.waiting.Dec()
	return c.limit.Wait(ctx)
}

// count counts one connection that was begun.
func (c *connects) count(failed *instance.Closed) {
	outcome := "connected"
	if failed != nil {
		outcome = string(failed.Reason)
	}
	c.outcomes.WithLabelValues(outcome).Inc()
}
