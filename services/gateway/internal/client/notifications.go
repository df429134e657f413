package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

// lostWake is how long a watcher waits at most: core NATS loses messages while a
// connection is away.
const lostWake = 2 * time.Second

// Notifications are what GREEN-API's clients pull: the stream QUEUE.
type Notifications struct {
	conn *bus.Conn

	mu      sync.Mutex
	streams map[string]jetstream.Stream
}

// NewNotifications makes it on the connection of the process.
func NewNotifications(conn *bus.Conn) *Notifications {
	return &Notifications{conn: conn, streams: map[string]jetstream.Stream{}}
}

func (n *Notifications) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	n.mu.Lock()
	s := n.streams[name]
	n.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := n.conn.JetStream().Stream(ctx, name)
	if err != nil {
		return nil, unavailable(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.streams[name] = s
	return s, nil
}

// Head returns the oldest notification of the instance and its sequence; ok is false
// when there is none. It is read from the leader: a replica might still have what
// was deleted a moment ago.
func (n *Notifications) Head(ctx context.Context, id instance.ID) (sequence uint64, body []byte, ok bool, err error) {
	s, err := n.stream(ctx, bus.StreamQueue)
	if err != nil {
		return 0, nil, false, err
	}
	m, err := s.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(bus.QueueSubject(id)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil, false, nil
	}
	if err != nil {
		return 0, nil, false, unavailable(err)
	}
	return m.Sequence, m.Data, true, nil
}

// Watch begins to listen for notifications of the instance. wait returns once one
// may have come since Watch or the last wait, at the latest after two seconds or when
// ctx ends. stop ends the listening.
func (n *Notifications) Watch(id instance.ID) (wait func(context.Context), stop func(), err error) {
	woken := make(chan struct{}, 1)
	sub, err := n.conn.NATS().Subscribe(bus.LiveQueueSubject(id), func(*nats.Msg) {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, nil, unavailable(err)
	}
	// The server knows of it before it is asked what there is, on the same connection.
	return func(ctx context.Context) {
		timer := time.NewTimer(lostWake)
		defer timer.Stop()
		select {
		case <-woken:
		case <-timer.C:
		case <-ctx.Done():
		}
	}, func() { _ = sub.Unsubscribe() }, nil // gone with the connection anyway
}

// Delete removes a notification of the instance; ok is false when the instance has
// none with the sequence.
func (n *Notifications) Delete(ctx context.Context, id instance.ID, sequence uint64) (ok bool, err error) {
	if sequence == 0 {
		return false, nil
	}
	s, err := n.stream(ctx, bus.StreamQueue)
	if err != nil {
		return false, err
	}
	m, err := s.GetMsg(ctx, sequence)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return false, nil
	case err != nil:
		return false, unavailable(err)
	case m.Subject != bus.QueueSubject(id):
		return false, nil // another's
	}
	err = s.DeleteMsg(ctx, sequence)
	if api, isAPI := errors.AsType[*jetstream.APIError](err); isAPI && (api.ErrorCode == noSequence || api.ErrorCode == notDeleted) {
		return false, nil // somebody else was faster
	}
	if err != nil {
		return false, unavailable(err)
	}
	return true, nil
}

// What the server answers when the message to be deleted is not there: before it
// looked, or when it did.
const (
	noSequence jetstream.ErrorCode = 10043
	notDeleted jetstream.ErrorCode = 10057
)

// Count returns how many notifications the instance has.
func (n *Notifications) Count(ctx context.Context, id instance.ID) (uint64, error) {
	return n.count(ctx, bus.StreamQueue, bus.QueueSubject(id))
}

// Owed returns how many deliveries the instance's webhook is still owed.
func (n *Notifications) Owed(ctx context.Context, webhook string, id instance.ID) (uint64, error) {
	return n.count(ctx, bus.StreamDeliveries, bus.LaneSubject(webhook, id))
}

func (n *Notifications) count(ctx context.Context, stream, subject string) (uint64, error) {
	s, err := n.stream(ctx, stream)
	if err != nil {
		return 0, err
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, unavailable(err)
	}
	return info.State.Subjects[subject], nil
}

// Clear removes every notification of the instance.
func (n *Notifications) Clear(ctx context.Context, id instance.ID) error {
	s, err := n.stream(ctx, bus.StreamQueue)
	if err != nil {
		return err
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSubject(bus.QueueSubject(id))); err != nil {
		return unavailable(err)
	}
	return nil
}

// unavailable is what callers are told when NATS does not answer.
func unavailable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &instance.Problem{Code: instance.CodeUnavailable, Detail: "The queue of notifications cannot be reached at the moment.", RetryAfter: 1}
}
