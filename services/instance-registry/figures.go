package registry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// figures shows what the whole deployment holds. Every registry shows the same;
// take the greatest, not the sum.
type figures struct {
	*registry
	messages, bytes, limit *prometheus.GaugeVec
	unrouted               prometheus.Gauge
}

var instancesDesc = prometheus.NewDesc("pairgate_instances",
	"Instances of the whole deployment, by phase and provider.", []string{"phase", "provider"}, nil)

func newFigures(r *registry) *figures {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"stream"})
	}
	return &figures{registry: r,
		messages: gauge("pairgate_stream_messages", "Messages in a stream or bucket."),
		bytes:    gauge("pairgate_stream_bytes", "Size of a stream or bucket in bytes."),
		limit:    gauge("pairgate_stream_max_bytes", "Size in bytes that a stream or bucket may reach; absent for one without limit."),
		unrouted: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pairgate_webhook_events_unrouted",
			Help: "How far the router of webhooks is behind the end of EVENTS, in sequences."}),
	}
}

func (f *figures) looked() []prometheus.Collector {
	return []prometheus.Collector{f.messages, f.bytes, f.limit, f.unrouted}
}

// Describe implements prometheus.Collector.
func (f *figures) Describe(ch chan<- *prometheus.Desc) {
	ch <- instancesDesc
	for _, c := range f.looked() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector. It asks nobody: instances are counted
// in the views, streams were looked at by run.
func (f *figures) Collect(ch chan<- prometheus.Metric) {
	type group struct{ phase, provider string }
	counts := map[group]int{}
	for _, phase := range instance.Phases() {
		for _, provider := range instance.Providers() {
			counts[group{string(phase), string(provider)}] = 0
		}
	}
	for rec := range f.views.Instances.All() {
		if rec.GetDeletedAt() != nil || rec.GetAbandoned() {
			continue
		}
		status := f.status(record{InstanceRecord: rec})
		counts[group{string(status.Phase), rec.GetInstance().GetProvider()}]++
	}
	for of, n := range counts {
		ch <- prometheus.MustNewConstMetric(instancesDesc, prometheus.GaugeValue, float64(n), of.phase, of.provider)
	}
	for _, c := range f.looked() {
		c.Collect(ch)
	}
}

const (
	// figuresEvery is how often streams are looked at, as often as they are commonly scraped.
	figuresEvery   = 15 * time.Second
	figuresTimeout = 5 * time.Second
)

// run looks at the streams until ctx ends.
func (f *figures) run(ctx context.Context) {
	for ctx.Err() == nil {
		f.look(ctx)
		sleep(ctx, figuresEvery)
	}
}

func (f *figures) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, figuresTimeout)
	defer cancel()
	// First how far the router is, then the end, so that the difference is never negative.
	routed, routedErr := bus.ReadRolePosition(ctx, f.conn, bus.RoleRouter)
	if routedErr != nil && ctx.Err() == nil {
		f.log.Warn("it is not known how far webhooks are routed", zap.Error(routedErr))
	}
	for _, name := range bus.Names() {
		stream, err := f.conn.JetStream().Stream(ctx, bus.StreamOf(name))
		if err != nil {
			if ctx.Err() == nil {
				f.log.Warn("the size of a stream is not known", zap.String("stream", name), zap.Error(err))
			}
			continue
		}
		info := stream.CachedInfo()
		f.messages.WithLabelValues(name).Set(float64(info.State.Msgs))
		f.bytes.WithLabelValues(name).Set(float64(info.State.Bytes))
		if name == bus.StreamEvents && routedErr == nil {
			f.unrouted.Set(float64(info.State.LastSeq - routed.Sequence))
		}
		if info.Config.MaxBytes > 0 {
			f.limit.WithLabelValues(name).Set(float64(info.Config.MaxBytes))
		} else {
			f.limit.DeleteLabelValues(name)
		}
	}
}
