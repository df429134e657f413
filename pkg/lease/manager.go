package lease

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// Manager keeps one worker's lease, claims the partitions that are its own to claim, and
// tells a Handler. Its methods may be called from several goroutines.
type Manager struct {
	conn    *bus.Conn
	cfg     Config
	time    timing
	handler Handler
	log     *zap.Logger
	met     *metrics

	kv      jetstream.KeyValue // WORKERS
	view    *view
	keeper  *keeper
	claimer *claimer
	calls   *queue // of the handler
	takes   *rate.Limiter
	moves   *rate.Limiter

	link link

	mu       sync.Mutex
	tenure   *tenure
	parts    map[instance.Partition]*holding
	draining bool
	wanted   int
	renewed  time.Time
	// changed is closed and replaced when tenure changes.
	changed chan struct{}

	// planning ends first, then the keeper, then life: the views and pings.
	planning, keeping, life lifetime

	stopOnce sync.Once
	stopped  chan struct{}
	stopErr  error
}

// tenure is one stretch of holding the lease.
type tenure struct {
	nonce string
	began time.Time
	// ctx ends with the tenure.
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// lifetime is a context and the goroutines that live in it.
type lifetime struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (l *lifetime) init(parent context.Context) { l.ctx, l.cancel = context.WithCancel(parent) }

func (l *lifetime) end() {
	l.cancel()
	l.wg.Wait()
}

// Start checks the configuration against the server, gets the lease, and begins to claim
// partitions. It returns when the lease is held, which takes up to a TTL while the lease of an
// earlier process with this WorkerID has not expired. ctx bounds only the start; end the
// Manager with Release or Close.
//
// Errors: ErrConfig for settings that cannot work, naming each; ErrKeyStoreMismatch when a live
// worker of the kind uses another key store; ctx's error, and the server's.
func Start(ctx context.Context, conn *bus.Conn, cfg Config, handler Handler) (*Manager, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	met, err := newMetrics(cfg.Metrics, cfg.Kind, cfg.Partitions)
	if err != nil {
		return nil, err
	}
	log := cfg.Log.With(zap.String("kind", cfg.Kind), zap.String("worker", cfg.WorkerID))
	m := &Manager{
		conn: conn, cfg: cfg, handler: handler, log: log, met: met,
		calls:   newQueue(),
		takes:   limiter(cfg.TakesPerSecond),
		moves:   limiter(cfg.MovesPerSecond),
		parts:   map[instance.Partition]*holding{},
		changed: make(chan struct{}),
		stopped: make(chan struct{}),
	}
	if err := m.inspect(ctx); err != nil {
		return nil, err
	}
	background := context.WithoutCancel(ctx)
	m.life.init(background)
	m.keeping.init(background)
	m.planning.init(background)

	g := group{kind: cfg.Kind, stream: cfg.Stream, subject: cfg.OwnerSubject, partitions: cfg.Partitions}
	m.view = newView(g, conn, log)
	m.claimer.view = m.view
	m.link.begin(conn)
	m.life.wg.Go(func() { m.view.run(m.life.ctx) })
	m.life.wg.Go(m.calls.run)
	if err := m.begin(ctx); err != nil {
		m.stop(ctx, false)
		return nil, err
	}
	m.planning.wg.Go(func() { m.planLoop(m.planning.ctx) })
	m.life.wg.Go(func() { m.pingLoop(m.life.ctx) })
	return m, nil
}

// limiter allows perSecond, in bursts of one second's worth.
func limiter(perSecond float64) *rate.Limiter {
	if perSecond < 0 {
		return rate.NewLimiter(0, 0)
	}
	return rate.NewLimiter(rate.Limit(perSecond), max(1, int(math.Ceil(perSecond))))
}

// inspect compares the configuration with the bucket and the stream as they are.
func (m *Manager) inspect(ctx context.Context) error {
	js := m.conn.JetStream()
	for {
		workers, err := js.Stream(ctx, bus.BucketStream(bus.BucketWorkers))
		if err == nil {
			target, terr := js.Stream(ctx, m.cfg.Stream)
			if err = terr; err == nil {
				kv, kerr := m.conn.KeyValue(ctx, bus.BucketWorkers)
				if err = kerr; err == nil {
					m.kv = kv
					return m.configure(workers.CachedInfo().Config, target.CachedInfo().Config)
				}
			}
		}
		if !isRetryable(err) || ctx.Err() != nil {
			return fmt.Errorf("lease: looking at %s and %s: %w", bus.BucketWorkers, m.cfg.Stream, err)
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("lease: looking at %s and %s: %w", bus.BucketWorkers, m.cfg.Stream, ctx.Err())
		}
	}
}

func (m *Manager) configure(workers, target jetstream.StreamConfig) error {
	ttl := workers.MaxAge
	switch {
	case ttl <= 0:
		return fmt.Errorf("%w: bucket %s has no age limit, leases would never expire", ErrConfig, bus.BucketWorkers)
	case m.cfg.TTL != 0 && m.cfg.TTL != ttl:
		return fmt.Errorf("%w: TTL is %v, that of bucket %s is %v; they must be the same", ErrConfig, m.cfg.TTL, bus.BucketWorkers, ttl)
	case target.MaxAge > 0 && !target.AllowMsgTTL:
		return fmt.Errorf("%w: stream %s drops messages by age and allows no exception; owner records would be lost", ErrConfig, m.cfg.Stream)
	}
	m.cfg.TTL = ttl
	m.time = timingOf(ttl)
	m.claimer = &claimer{conn: m.conn, timeout: m.cfg.AttemptTimeout, met: m.met,
		never: target.MaxAge > 0, rollup: target.AllowRollup}
	k := newKeeper()
	k.store = &bucketStore{conn: m.conn, kv: m.kv, key: bus.WorkerKey(m.cfg.Kind, m.cfg.WorkerID)}
	k.time, k.log, k.met, k.steal = m.time, m.log, m.met, m.cfg.ReclaimOwn
	k.value, k.held, k.lost, k.renewed = m.leaseValue, m.leaseHeld, m.leaseLost, m.leaseRenewed
	m.keeper = k
	return nil
}

// begin waits for the views and the lease, and refuses another key store.
func (m *Manager) begin(ctx context.Context) error {
	select {
	case <-m.view.ready:
	case <-ctx.Done():
		return fmt.Errorf("lease: reading %s and %s: %w", bus.BucketWorkers, m.cfg.Stream, ctx.Err())
	}
	if err := m.checkKeyStore(); err != nil {
		return err
	}
	m.keeping.wg.Go(func() { m.keeper.run(m.keeping.ctx) })
	for m.current() == nil {
		select {
		case <-m.tenureChanged():
		case <-ctx.Done():
			return fmt.Errorf("lease: no lease for worker %s in time: %w", m.cfg.WorkerID, ctx.Err())
		}
	}
	// Another worker may have started at the same moment. Whoever got his lease later
	// sees the other's before his own.
	for m.view.revisionOf(m.cfg.WorkerID) < m.keeper.revision() {
		if !pause(ctx, 5*time.Millisecond) {
			return fmt.Errorf("lease: reading %s: %w", bus.BucketWorkers, ctx.Err())
		}
	}
	if err := m.checkKeyStore(); err != nil {
		rctx, cancel := context.WithTimeout(ctx, m.time.attempt)
		defer cancel()
		m.keeping.end()
		return errors.Join(err, m.removeLease(rctx))
	}
	return nil
}

// checkKeyStore refuses when another live worker of the kind has another key store.
func (m *Manager) checkKeyStore() error {
	leases, _ := m.view.state()
	for _, l := range leases {
		if !l.gone && l.Worker != m.cfg.WorkerID && l.KeyStore != m.cfg.KeyStore {
			return fmt.Errorf("%w: worker %s uses %q, this one %q; give all workers the same store "+
				"(one PostgreSQL database for more than one worker), or stop the other one first",
				ErrKeyStoreMismatch, l.Worker, l.KeyStore, m.cfg.KeyStore)
		}
	}
	return nil
}

// leaseValue returns the lease to store for a tenure.
func (m *Manager) leaseValue(nonce string, started time.Time) []byte {
	return encode(m.lease(nonce, started))
}

func (m *Manager) lease(nonce string, started time.Time) Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Lease{
		Worker: m.cfg.WorkerID, Service: m.cfg.Service, ServiceID: m.cfg.ServiceID, Nonce: nonce,
		Capacity: m.cfg.Capacity, KeyStore: m.cfg.KeyStore, Started: started.UTC(), Draining: m.draining,
	}
}

// leaseHeld begins a tenure.
func (m *Manager) leaseHeld(nonce string, sent time.Time) {
	t := &tenure{nonce: nonce, began: sent}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tenure, m.renewed = t, sent
	m.announce()
	m.log.Info("lease held", zap.Duration("ttl", m.time.ttl))
}

func (m *Manager) leaseRenewed(sent time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.renewed = sent
}

// announce wakes whoever waits for a change of tenure. The caller holds mu.
func (m *Manager) announce() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Manager) tenureChanged() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tenure != nil {
		done := make(chan struct{})
		close(done)
		return done
	}
	return m.changed
}

// current returns the tenure, nil without one.
func (m *Manager) current() *tenure {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tenure
}

// removeLease deletes our lease, if it is ours still.
func (m *Manager) removeLease(ctx context.Context) error {
	err := m.keeper.remove(ctx)
	if !errors.Is(err, errConflict) {
		return err
	}
	// The last renewal may have succeeded unheard.
	l, at, err := m.keeper.current(ctx)
	if err != nil || at == 0 || !m.keeper.ours(l.Nonce) {
		return err
	}
	m.keeper.setRevision(at)
	return m.keeper.remove(ctx)
}

// Writer returns the writer of a partition, false when it is not ours.
func (m *Manager) Writer(p instance.Partition) (*Writer, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok := m.parts[p]
	if !ok {
		return nil, false
	}
	return h.writer, true
}

// Owned returns how many partitions are ours.
func (m *Manager) Owned() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.parts)
}
