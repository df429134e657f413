// Package role runs what exactly one process does at a time: it reads EVENTS in
// order and writes to its target what follows from each event, under the fence of the
// owner's record, so that two owners can never interleave.
//
// How far EVENTS was read is a record of its own in the target, written under the
// same fence after every batch. There is no durable consumer: one that a stopped
// process still pulls from would hand that process events which nobody handles until
// they time out, and out of order then.
//
// A crash repeats at most one batch. What is written again has the same message id, and
// is recognised by the server's window of duplicates while that lasts; the work can find
// out otherwise for what is in the first batch of an ownership.
package role

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
)

// Writer writes to the target under the fence of the role; *lease.Writer is one.
type Writer interface {
	PublishAck(ctx context.Context, m *nats.Msg) (lease.Ack, error)
	Epoch() uint64
}

// Event is an event as it stands in the stream.
type Event struct {
	Msg      jetstream.Msg
	Sequence uint64
}

// Work is what a role does with events during one stretch of ownership. It is used by
// one goroutine. An error ends the stretch; it begins again at the stored position.
type Work interface {
	// Batch is called when events were fetched, before the first of them is handled.
	Batch(ctx context.Context) error
	// Event writes what follows from one event, and says how many messages that were.
	Event(ctx context.Context, t *Target, e Event) (stored int, err error)
}

// Options of New; all are required.
type Options struct {
	Conn *bus.Conn
	// Name of the role.
	Name string
	// Begin makes the work of a stretch.
	Begin func(ctx context.Context) (Work, error)
	Log   *zap.Logger
	// Stored is told of each message that was stored; Skipped of one that was not and
	// why: "duplicate" here, other reasons are the work's.
	Stored  func()
	Skipped func(reason string)
}

// The size of a batch, how often a position is written while nothing follows from what
// passes by, and how long a released owner may take to write its last one.
const (
	maxBatch      = 64
	positionEvery = time.Second
	lastWrite     = time.Second
	retryPause    = 500 * time.Millisecond
)

// Role is the handler of the role's lease.
type Role struct {
	o Options

	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

// New makes a role that is not owned yet.
func New(o Options) *Role { return &Role{o: o} }

// Acquired implements lease.Handler.
func (r *Role) Acquired(_ context.Context, round lease.Round) {
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

// Lost implements lease.Handler. It waits until nothing is written any more.
func (r *Role) Lost(_ instance.Partition, why error) {
	r.mu.Lock()
	cancel, done := r.cancel, r.done
	r.cancel = nil
	r.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	r.o.Log.Info("no longer the owner of the role", zap.String("role", r.o.Name), zap.Error(why))
}

// Owned says whether this process owns the role.
func (r *Role) Owned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cancel != nil
}

func (r *Role) own(ctx context.Context, w Writer) {
	for ctx.Err() == nil {
		err := r.stretch(ctx, w)
		if ctx.Err() != nil || lost(err) {
			return
		}
		r.o.Log.Error("the role's work stopped and begins again", zap.String("role", r.o.Name), zap.Error(err))
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
