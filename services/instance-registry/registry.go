package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	"pairgate.dev/services/instance-registry/internal/store"
)

// registry carries out requests. It holds no state of its own: what it decides
// by is in the buckets.
type registry struct {
	cfg     Config
	conn    *bus.Conn
	log     *zap.Logger
	views   *bus.Views
	ring    *seal.Ring
	rules   rules
	metrics metrics
	now     func() time.Time

	instances, endpoints, idempotency, settings store.Bucket
	events, records                             jetstream.Stream
}

func newRegistry(ctx context.Context, cfg Config, deps Deps) (*registry, error) {
	cfg = cfg.withDefaults()
	ring, err := service.OpenRing(ctx, deps.Bus, cfg.MasterKey)
	if err != nil {
		return nil, err
	}
	r := &registry{
		cfg: cfg, conn: deps.Bus, log: deps.Log, views: deps.Views, ring: ring, now: time.Now,
		rules: rules{offered: cfg.offered(), networks: instance.Networks{Allow: cfg.WebhookAllow, Lookup: lookup}},
	}
	for bucket, name := range map[*store.Bucket]string{&r.instances: bus.BucketInstances, &r.endpoints: bus.BucketEndpoints,
		&r.idempotency: bus.BucketIdempotency, &r.settings: bus.BucketSettings} {
		if *bucket, err = store.Open(ctx, deps.Bus.JetStream(), name); err != nil {
			return nil, err
		}
	}
	for stream, name := range map[*jetstream.Stream]string{&r.events: bus.StreamEvents, &r.records: bus.BucketStream(bus.BucketInstances)} {
		if *stream, err = deps.Bus.JetStream().Stream(ctx, name); err != nil {
			return nil, fmt.Errorf("stream %s: %w", name, err)
		}
	}
	if r.metrics, err = newMetrics(deps.Metrics); err != nil {
		return nil, err
	}
	return r, nil
}

// logOf is the log for lines about the request of ctx.
func (r *registry) logOf(ctx context.Context) *zap.Logger {
	return r.log.With(service.RequestID(bus.RequestID(ctx)), service.TraceID(ctx))
}

// lookupTimeout bounds the resolution of a host name in a webhook's URL; it is
// asked for only where http:// may be allowed.
const lookupTimeout = 2 * time.Second

func lookup(host string) []netip.Addr {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	// A name that does not resolve is not inside any network.
	addrs, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	return addrs
}

// lastOf returns the last sequence of a stream.
func (r *registry) lastOf(ctx context.Context, stream string) (uint64, error) {
	return store.LastSequence(ctx, r.conn.JetStream(), stream)
}

// lastEvent returns the sequence after which events are owed to a webhook that is written next.
func (r *registry) lastEvent(ctx context.Context) (uint64, error) {
	return r.lastOf(ctx, bus.StreamEvents)
}

// seeTimeout is how long a reply waits until this process shows what it has written.
const seeTimeout = 500 * time.Millisecond

// see waits until our own view shows a write, so that a list right after it
// does. A view that is late delays the reply and does not fail it.
func (r *registry) see(ctx context.Context, revision uint64) {
	ctx, cancel := context.WithTimeout(ctx, seeTimeout)
	defer cancel()
	if err := r.views.Instances.WaitRevision(ctx, revision); err != nil {
		r.log.Debug("the view of instances is late", zap.Error(err))
	}
}

func (r *registry) seeEndpoint(ctx context.Context, revision uint64) {
	ctx, cancel := context.WithTimeout(ctx, seeTimeout)
	defer cancel()
	if err := r.views.Endpoints.WaitRevision(ctx, revision); err != nil {
		r.log.Debug("the view of webhooks is late", zap.Error(err))
	}
}

// told is how an error of the store reaches a caller: as something that may be
// tried again.
func told(ctx context.Context, err error) error {
	if !errors.Is(err, store.ErrUnavailable) {
		return err
	}
	if _, already := errors.AsType[*instance.Problem](err); already {
		return err
	}
	if ctx.Err() != nil {
		return &instance.Problem{Code: instance.CodeTimeout, RetryAfter: 1,
			Detail: "The storage did not answer in time; the request may have been carried out."}
	}
	return &instance.Problem{Code: instance.CodeUnavailable, RetryAfter: 1, Detail: "The storage does not answer at the moment."}
}
