// Package router turns events into owed deliveries: for every event and every
// endpoint that wants it, one message on the endpoint's lane in DELIVERIES.
//
// It is a role with exactly one owner, and every write is fenced by the owner's
// record, so that two routers can never interleave. Events are routed one after
// another in the order of the stream; so every lane has their order.
//
// How far EVENTS was routed is a record of its own in DELIVERIES, written under
// the same fence after every batch. There is no durable consumer: one that a
// stopped process still pulls from would hand that process events which nobody
// routes until they time out, and out of order then.
//
// A crash repeats at most one batch. A repeated delivery has the same id, and is
// recognised by the server's window of duplicates while that lasts, and otherwise
// by the log of attempts, which is asked for every delivery of the first batch of
// an ownership. What remains is a delivery whose attempt was not written down
// before the crash: it is sent twice, with the same webhook-id.
package router

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
)

// Endpoints is what the router has to know of endpoints; *bus.EndpointView is one.
type Endpoints interface {
	// ByInstance returns the endpoints of an instance; those of all instances for the empty id.
	ByInstance(id instance.ID) []*pb.EndpointRecord
	WaitRevision(ctx context.Context, revision uint64) error
}

// Writer writes to DELIVERIES under the fence of the role; *lease.Writer is one.
type Writer interface {
	PublishAck(ctx context.Context, m *nats.Msg) (lease.Ack, error)
	Epoch() uint64
}

// Options of New; all are required.
type Options struct {
	Conn      *bus.Conn
	Endpoints Endpoints
	Formats   format.Formats
	Log       *zap.Logger
	// Routed is told of each delivery that was stored; Skipped of one that was not
	// and why: "duplicate" or "unknown_format".
	Routed  func()
	Skipped func(reason string)
}

// The size of a batch, how often a position is written while nothing is owed of
// what passes by, and how long a released router may take to write its last one.
const (
	maxBatch      = 64
	positionEvery = time.Second
	lastWrite     = time.Second
	retryPause    = 500 * time.Millisecond
)

// Router is the handler of the role's lease.
type Router struct {
	o Options

	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

// New makes a router that owns nothing yet.
func New(o Options) *Router { return &Router{o: o} }

// Acquired implements lease.Handler.
func (r *Router) Acquired(_ context.Context, round lease.Round) {
	w, ok := round.Writer(round.Partitions[0].Number)
	if !ok {
		return // lost already
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	r.mu.Lock()
	r.cancel, r.done = cancel, done
	r.mu.Unlock()
	go func() {
		defer close(done)
		r.own(ctx, w)
	}()
}

// Lost implements lease.Handler. It waits until nothing is routed any more.
func (r *Router) Lost(_ instance.Partition, why error) {
	r.mu.Lock()
	cancel, done := r.cancel, r.done
	r.cancel = nil
	r.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	r.o.Log.Info("no longer routing events", zap.Error(why))
}

// Owned says whether this process owns the role.
func (r *Router) Owned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cancel != nil
}

func (r *Router) own(ctx context.Context, w Writer) {
	for ctx.Err() == nil {
		err := r.Route(ctx, w)
		if ctx.Err() != nil || lost(err) {
			return
		}
		r.o.Log.Error("routing stopped and begins again", zap.Error(err))
		sleep(ctx, retryPause)
	}
}

func lost(err error) bool {
	for _, gone := range []error{lease.ErrLost, lease.ErrFenced, lease.ErrRevoked, lease.ErrReleased, lease.ErrClosed} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
