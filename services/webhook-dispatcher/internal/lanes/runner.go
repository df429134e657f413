package lanes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/failing"
	"pairgate.dev/services/webhook-dispatcher/internal/lane"
)

// Runner delivers what is owed on the partitions that it is told to own. It is
// the handler of a lease.
type Runner struct {
	o          Options
	deliveries jetstream.Stream
	attempts   jetstream.Stream
	endpoints  jetstream.Stream
	met        *metrics
	failing    failing.Tracker

	// ctx ends when Run is told to end at once; works live in those of their partitions.
	ctx    context.Context
	cancel context.CancelFunc
	works  sync.WaitGroup
	feeds  sync.WaitGroup
	kick   chan struct{}
	// unresolved wakes the resolver.
	unresolved chan struct{}

	mu         sync.Mutex
	machine    *lane.Machine
	partitions map[instance.Partition]*partition
	draining   bool
	unknown    map[string]struct{}
	gone       map[string]struct{}
}

// New makes a runner that owns nothing yet. The error is the server's.
func New(ctx context.Context, o Options) (*Runner, error) {
	r := &Runner{o: o, kick: make(chan struct{}, 1), unresolved: make(chan struct{}, 1), machine: lane.New(o.Lanes),
		partitions: map[instance.Partition]*partition{}, unknown: map[string]struct{}{}, gone: map[string]struct{}{}}
	js := o.Conn.JetStream()
	var err error
	for _, s := range []struct {
		name   string
		stream *jetstream.Stream
	}{{bus.StreamDeliveries, &r.deliveries}, {bus.StreamAttempts, &r.attempts}, {bus.BucketStream(bus.BucketEndpoints), &r.endpoints}} {
		if *s.stream, err = js.Stream(ctx, s.name); err != nil {
			return nil, fmt.Errorf("lanes: stream %s: %w", s.name, err)
		}
	}
	if r.met, err = newMetrics(o.Metrics, r); err != nil {
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return r, nil
}

// Run tries what is owed until ctx ends. Then it begins nothing new, lets what
// is in flight end for at most DrainTimeout, and returns when nothing runs any
// more; partitions are still to be released.
func (r *Runner) Run(ctx context.Context) {
	var background sync.WaitGroup
	background.Go(func() { r.resolve(r.ctx) })
	unsubscribe := r.o.Endpoints.Subscribe(r.endpointChanged)
	defer background.Wait()
	defer r.cancel()
	defer r.feeds.Wait()
	defer r.stopFeeds()
	defer unsubscribe()

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(r.start())
		select {
		case <-ctx.Done():
		case <-r.kick:
		case <-timer.C:
		}
	}
	r.drain()
}

// start begins everything that can be tried now and returns how long to wait
// until something else can.
func (r *Runner) start() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		now := time.Now()
		w, ok := r.machine.Next(now)
		if !ok {
			if at, some := r.machine.Wake(); some {
				return max(time.Until(at), time.Millisecond)
			}
			return time.Hour
		}
		p := r.partitions[instance.PartitionOf(w.Key.Endpoint)]
		if p == nil || p.leaving {
			// Lanes of a lost partition are forgotten, so this is one being released.
			r.machine.Finished(now, w, lane.Outcome{Result: lane.Trouble, Pause: troublePause})
			continue
		}
		p.inflight++
		r.works.Go(func() {
			o := r.work(p.ctx, w)
			r.mu.Lock()
			r.machine.Finished(time.Now(), w, o)
			p.inflight--
			if p.leaving && p.inflight == 0 {
				close(p.idle)
			}
			r.mu.Unlock()
			r.wake()
		})
	}
}

func (r *Runner) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// drain waits for what is in flight, and cuts off what takes too long.
func (r *Runner) drain() {
	r.mu.Lock()
	r.draining = true
	r.mu.Unlock()
	done := make(chan struct{})
	go func() { r.works.Wait(); close(done) }()
	timer := time.NewTimer(r.o.DrainTimeout)
	defer timer.Stop()
	select {
	case <-done:
		return
	case <-timer.C:
	}
	r.mu.Lock()
	for _, p := range r.partitions {
		p.cancel()
	}
	r.mu.Unlock()
	<-done
}

// Acquired implements lease.Handler: one feed for the whole round.
func (r *Runner) Acquired(_ context.Context, round lease.Round) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := newFeed(r.ctx)
	for _, own := range round.Partitions {
		p := &partition{number: own.Number, barrier: round.Barrier, idle: make(chan struct{}), feed: f}
		p.ctx, p.cancel = context.WithCancel(r.ctx)
		r.partitions[own.Number] = p
		f.add(own.Number)
	}
	if r.draining {
		return
	}
	r.feeds.Go(func() { f.read(r) })
}

// Lost implements lease.Handler: when it returns, nothing acts for the
// partition. A partition that is released lets what is in flight end first.
func (r *Runner) Lost(number instance.Partition, why error) {
	r.mu.Lock()
	p := r.partitions[number]
	if p == nil {
		r.mu.Unlock()
		return
	}
	p.leaving = true
	if p.inflight == 0 {
		close(p.idle)
	}
	p.feed.remove(number)
	r.mu.Unlock()
	if errors.Is(why, lease.ErrReleased) {
		timer := time.NewTimer(r.o.DrainTimeout)
		select {
		case <-p.idle:
		case <-timer.C:
		}
		timer.Stop()
	}
	p.cancel()
	<-p.idle
	r.mu.Lock()
	if r.partitions[number] == p {
		delete(r.partitions, number)
		r.machine.ForgetPartition(number)
		r.failing.ForgetAll(func(endpoint string) bool { return instance.PartitionOf(endpoint) == number })
	}
	r.mu.Unlock()
}

// Owned returns how many partitions are owned.
func (r *Runner) Owned() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.partitions)
}

func (r *Runner) stopFeeds() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.partitions {
		p.feed.cancel()
	}
}

// stateOf is what the lane machine has to know of a record.
func stateOf(rec *pb.EndpointRecord, known bool) lane.EndpointState {
	switch {
	case !known:
		return lane.Unknown
	case rec.GetWebhook().GetEnabled():
		return lane.Enabled
	default:
		return lane.Disabled
	}
}

// endpointChanged is called by the view for every change of a record.
func (r *Runner) endpointChanged(c bus.EndpointChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.Deleted {
		delete(r.gone, c.Key)
		r.machine.SetEndpoint(c.Key, stateOf(c.Value, true))
		if mended(c.Previous, c.Value) {
			r.failing.Forget(c.Key)
			r.machine.Changed(c.Key)
		}
		r.wake()
		return
	}
	if r.partitions[instance.PartitionOf(c.Key)] != nil {
		r.forget(c.Key)
	}
}

// forget lets go of a deleted endpoint; the resolver purges what it was owed.
// The caller holds mu.
func (r *Runner) forget(endpoint string) {
	r.failing.Forget(endpoint)
	r.machine.Forget(endpoint)
	r.gone[endpoint] = struct{}{}
	r.wakeResolver()
}

func (r *Runner) wakeResolver() {
	select {
	case r.unresolved <- struct{}{}:
	default:
	}
}
