// Package outbox sends what sessions publish, one partition at a time.
//
// A partition has one fenced write in flight, so its writes form one queue. The
// queue keeps every write of every instance in order, except that a code which
// has not been sent yet gives way to a newer one of the same instance: while
// the server does not answer, only the newest code is worth keeping. A queue
// that is empty costs no goroutine.
package outbox

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
)

// Writer is the fenced writer of a partition.
type Writer interface {
	// Publish stores the message or returns why it did not; lease.ErrLost and its
	// like say that the partition is no longer ours.
	Publish(ctx context.Context, msg *nats.Msg) (sequence uint64, err error)
}

// Item is one write.
type Item struct {
	Instance instance.ID
	Message  *nats.Msg
	// Span is ended when the write is stored or given up; nil for none.
	Span trace.Span
	// Code says that the write is of a code: it takes the place of a Replaceable one
	// of the same instance that was not sent yet.
	Code bool
	// Replaceable says that a newer code may take this one's place. A withdrawal is
	// not: it has to come before the status that follows it.
	Replaceable bool
}

// errDropped: a write gave way to a newer one, or its partition was lost.
var errDropped = instance.Problemf(instance.CodeConflict, "The event was not stored.")

func (i Item) end(err error) {
	if i.Span != nil {
		bus.EndSpan(i.Span, err)
	}
}

// Queue is the queue of one partition.
type Queue struct {
	writer Writer
	log    *zap.Logger
	failed func()

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	items   []Item
	running bool
	closed  bool
	idle    chan struct{}
}

// New returns an empty queue. failed is called for each write that had to be
// put off for a reason other than the ones that the writer retries itself.
func New(w Writer, log *zap.Logger, failed func()) *Queue {
	ctx, cancel := context.WithCancel(context.Background())
	idle := make(chan struct{})
	close(idle)
	return &Queue{writer: w, log: log, failed: failed, ctx: ctx, cancel: cancel, idle: idle}
}

// Add queues a write. After Close it is dropped.
func (q *Queue) Add(item Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		item.end(errDropped)
		return
	}
	if item.Code {
		q.drop(item.Instance)
	}
	q.items = append(q.items, item)
	if !q.running {
		q.running = true
		q.idle = make(chan struct{})
		q.wg.Go(q.run)
	}
}

// drop removes the unsent code of an instance; there is at most one.
func (q *Queue) drop(id instance.ID) {
	q.items = slices.DeleteFunc(q.items, func(old Item) bool {
		gives := old.Instance == id && old.Replaceable
		if gives {
			old.end(errDropped)
		}
		return gives
	})
}

// clear drops what is queued, for good. The caller holds the lock.
func (q *Queue) clear() {
	q.closed = true
	for _, item := range q.items {
		item.end(errDropped)
	}
	q.items = nil
}

// Flush waits until everything queued is stored, or ctx ends.
func (q *Queue) Flush(ctx context.Context) error {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close drops what is queued and waits for the write in flight.
func (q *Queue) Close() {
	q.mu.Lock()
	q.clear()
	q.mu.Unlock()
	q.cancel()
	q.wg.Wait()
}

func (q *Queue) run() {
	for {
		q.mu.Lock()
		if len(q.items) == 0 {
			q.running = false
			q.items = nil
			close(q.idle)
			q.mu.Unlock()
			return
		}
		item := q.items[0]
		q.items = q.items[1:]
		q.mu.Unlock()
		item.end(q.send(item))
	}
}

// retryAfter is the pause after a write that the writer gave up, for example because the stream is full.
const retryAfter = time.Second

// send stores the write, however often it has to be tried, or says why it never will be.
func (q *Queue) send(item Item) error {
	for q.ctx.Err() == nil {
		_, err := q.writer.Publish(q.ctx, item.Message)
		if err == nil || q.ctx.Err() != nil {
			return err
		}
		if lost(err) {
			q.mu.Lock()
			q.clear()
			q.mu.Unlock()
			return err
		}
		q.failed()
		if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, lease.ErrNoMessageID) {
			// No later try would fare better, and everything behind it waits.
			q.log.Error("an event cannot be stored and is left out; this is a bug",
				zap.String("instance", string(item.Instance)), zap.String("subject", item.Message.Subject), zap.Error(err))
			return err
		}
		q.log.Error("an event could not be stored; trying again",
			zap.String("instance", string(item.Instance)), zap.Duration("after", retryAfter), zap.Error(err))
		select {
		case <-q.ctx.Done():
		case <-time.After(retryAfter):
		}
	}
	return q.ctx.Err()
}

func lost(err error) bool {
	return errors.Is(err, lease.ErrLost) || errors.Is(err, lease.ErrFenced) || errors.Is(err, lease.ErrRevoked) ||
		errors.Is(err, lease.ErrReleased) || errors.Is(err, lease.ErrClosed)
}
