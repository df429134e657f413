package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Conn is a connection to NATS with our defaults. It reconnects for ever. Its
// methods may be called from several goroutines.
type Conn struct {
	nc  *nats.Conn
	js  jetstream.JetStream
	log *zap.Logger

	closed     chan struct{}
	violations atomic.Uint64
	denied     prometheus.Counter
	reconnects prometheus.Counter

	mu    sync.Mutex
	since time.Time
}

// Connect connects, and tries again with back-off (0.1 to 2 s) until ctx ends, so
// that a program may start before its server. Refused credentials and files that
// cannot be read are returned at once. Once connected, the connection outlives
// ctx; end it with Drain.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	c := &Conn{log: o.Log, closed: make(chan struct{})}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	c.log = c.log.With(zap.String("connection", o.Name))
	if err := c.register(o); err != nil {
		return nil, err
	}
	opts, err := o.natsOptions()
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		nats.DisconnectErrHandler(c.disconnected),
		nats.ReconnectHandler(c.reconnected),
		nats.ErrorHandler(c.asyncError),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }))
	if err := c.dial(ctx, o.URL, opts); err != nil {
		return nil, err
	}
	c.js, err = jetstream.New(c.nc, jetstream.WithDefaultTimeout(5*time.Second))
	if err != nil {
		c.nc.Close()
		<-c.closed
		return nil, fmt.Errorf("bus: %w", err)
	}
	return c, nil
}

// ConnectInProcess is Connect without a socket, to a server in this process.
func ConnectInProcess(ctx context.Context, server nats.InProcessConnProvider, o Options) (*Conn, error) {
	o.InProcess = server
	return Connect(ctx, o)
}

func (c *Conn) dial(ctx context.Context, url string, opts []nats.Option) error {
	delay := newBackoff(100*time.Millisecond, 2*time.Second)
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("bus: not connected to NATS: %w", err)
		}
		nc, err := nats.Connect(url, opts...)
		if err == nil {
			c.mu.Lock()
			c.nc, c.since = nc, time.Now()
			c.mu.Unlock()
			return nil
		}
		if !worthRetrying(err) {
			return fmt.Errorf("bus: NATS refuses us: %w", err)
		}
		c.log.Info("NATS not reachable yet, trying again", zap.Error(err))
		if delay.wait(ctx) != nil {
			return fmt.Errorf("bus: no connection to NATS in time: %w", err)
		}
	}
}

// worthRetrying tells a server that may come up from an answer that will not change.
func worthRetrying(err error) bool {
	if errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrStaleConnection) {
		return true
	}
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) {
		return false
	}
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) || errors.Is(err, nats.ErrConnectionClosed)
}

// NATS returns the connection itself, for what this package does not offer.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// JetStream returns the stream API with a default time-out of 5 s for calls whose context has no deadline.
func (c *Conn) JetStream() jetstream.JetStream { return c.js }

// Connected says whether there is a connection right now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// ConnectedSince returns when the present connection began, with a monotonic
// reading, or the zero time when there is none.
func (c *Conn) ConnectedSince() time.Time {
	if !c.nc.IsConnected() {
		return time.Time{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since
}

// Violations returns how often the server has refused us a subject.
func (c *Conn) Violations() uint64 { return c.violations.Load() }

// KeyValue binds to a bucket that Ensure has made. It reads through the leader.
// The error is jetstream.ErrBucketNotFound where it does not exist.
func (c *Conn) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := c.js.KeyValue(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("bus: bucket %s: %w", bucket, err)
	}
	return kv, nil
}

// LeaseTTL returns the life of a lease in WORKERS as the server has it: the
// configured one may not have been applied.
func (c *Conn) LeaseTTL(ctx context.Context) (time.Duration, error) {
	s, err := c.js.Stream(ctx, BucketStream(BucketWorkers))
	if err != nil {
		return 0, fmt.Errorf("bus: bucket %s: %w", BucketWorkers, err)
	}
	return s.CachedInfo().Config.MaxAge, nil
}

// Incarnation returns the creation time of EVENTS, which event bodies carry: a
// reader that sees it change starts over.
func (c *Conn) Incarnation(ctx context.Context) (string, error) {
	s, err := c.js.Stream(ctx, StreamEvents)
	if err != nil {
		return "", fmt.Errorf("bus: stream %s: %w", StreamEvents, err)
	}
	return s.CachedInfo().Created.UTC().Format(time.RFC3339Nano), nil
}

// Drain stops the subscriptions, lets their handlers finish what has arrived,
// sends what is buffered, and closes. When ctx ends first it closes at once and
// returns ctx's error. Draining a closed connection does nothing.
func (c *Conn) Drain(ctx context.Context) error {
	if err := c.nc.Drain(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		// While reconnecting there is nothing to drain towards.
		c.nc.Close()
	}
	select {
	case <-c.closed:
		return nil
	case <-ctx.Done():
		c.nc.Close()
		<-c.closed
		return fmt.Errorf("bus: connection closed before it was drained: %w", ctx.Err())
	}
}

// Closed is closed when the connection has ended for good.
func (c *Conn) Closed() <-chan struct{} { return c.closed }

func (c *Conn) disconnected(_ *nats.Conn, err error) {
	if err != nil {
		c.log.Warn("connection to NATS lost", zap.Error(err))
	}
}

func (c *Conn) reconnected(nc *nats.Conn) {
	c.mu.Lock()
	c.since = time.Now()
	c.mu.Unlock()
	c.reconnects.Inc()
	c.log.Info("connected to NATS again", zap.String("server", nc.ConnectedServerName()))
}

// asyncError is the only place where a denied publish shows: to its caller it
// looks like a time-out.
func (c *Conn) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		c.violations.Add(1)
		c.denied.Inc()
		c.log.Error("NATS denies us a subject; the caller sees a time-out", zap.Error(err))
		return
	}
	fields := []zap.Field{zap.Error(err)}
	if sub != nil {
		fields = append(fields, zap.String("subject", sub.Subject))
	}
	c.log.Warn("error on the NATS connection", fields...)
}

func (c *Conn) register(o Options) error {
	labels := prometheus.Labels{"connection": o.Name}
	c.denied = prometheus.NewCounter(prometheus.CounterOpts{Name: "pairgate_bus_permission_violations_total",
		Help: "Subjects that the NATS server refused to this service.", ConstLabels: labels})
	c.reconnects = prometheus.NewCounter(prometheus.CounterOpts{Name: "pairgate_bus_reconnects_total",
		Help: "Times the connection to NATS was lost and made again.", ConstLabels: labels})
	var err error
	if c.denied, err = registerOnce(o.Metrics, c.denied); err != nil {
		return err
	}
	c.reconnects, err = registerOnce(o.Metrics, c.reconnects)
	return err
}

// registerOnce registers a collector, or returns the equal one that is
// registered already: several connections of one process share a registry.
func registerOnce[C prometheus.Collector](r prometheus.Registerer, collector C) (C, error) {
	if r == nil {
		return collector, nil
	}
	err := r.Register(collector)
	if are, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, same := are.ExistingCollector.(C); same {
			return existing, nil
		}
	}
	if err != nil {
		return collector, fmt.Errorf("bus: metrics: %w", err)
	}
	return collector, nil
}
