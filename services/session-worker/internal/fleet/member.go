package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/driver"
	"pairgate.dev/services/session-worker/internal/session"
)

// member is the host of one actor.
type member struct {
	partition *partition
	id        instance.ID
	provider  instance.Provider
	actor     *session.Actor
	// record is the one that the actor was started for; the view has newer ones.
	record  *pb.InstanceRecord
	adopted func()
}

// Send implements session.Host.
func (m *member) Send(ctx context.Context, e *pb.Event) { m.partition.queueEvent(ctx, m.id, e) }

// Record implements session.Host.
func (m *member) Record() *pb.InstanceRecord {
	if record, _, ok := m.partition.fleet.Instances.Get(m.id); ok {
		return record
	}
	return m.record
}

// Adopted implements session.Host.
func (m *member) Adopted() { m.adopted() }

// Park implements session.Host.
func (m *member) Park(s instance.Status) bool {
	return m.partition.park(m, s)
}

// Transition implements session.Host.
func (m *member) Transition(to instance.Phase, reason instance.Reason) {
	m.partition.fleet.Metrics.transitions.WithLabelValues(string(to), string(reason)).Inc()
}

// TransitionRefused implements session.Host.
func (m *member) TransitionRefused() { m.partition.fleet.Metrics.refused.Inc() }

// VersionRefused implements session.Host.
func (m *member) VersionRefused() bool {
	refused := m.partition.fleet.Outdated
	return refused != nil && refused(m.provider)
}

// Proxy implements session.Host.
func (m *member) Proxy(record *pb.InstanceRecord) (*driver.Proxy, error) {
	p := record.GetInstance().GetProxy()
	if p == nil || p.GetHost() == "" {
		return nil, nil
	}
	way := &driver.Proxy{Protocol: p.GetProtocol(), Host: p.GetHost(), Port: uint16(p.GetPort()), Username: p.GetUsername()}
	if sealed := record.GetSealedProxyPassword(); len(sealed) > 0 {
		password, err := m.partition.fleet.Ring.Open(sealed, seal.ForProxyPassword(string(m.id)))
		if err != nil {
			return nil, err
		}
		way.Password = string(password)
	}
	return way, nil
}

// AwaitCreated implements session.Host. The registry derives the event from the
// record that we have seen already, so the wait is short. That of an instance
// older than the stream's memory may be gone; it was there before.
func (m *member) AwaitCreated(ctx context.Context) error {
	told, forget := m.partition.fleet.creations.await(m.id)
	defer forget()
	pause := 50 * time.Millisecond
	for {
		err := m.created(ctx)
		if err == nil {
			return nil
		}
		m.adopted() // Others need not wait for the registry.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-told:
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, 2*time.Second)
	}
}

func (m *member) created(ctx context.Context) error {
	stream := m.partition.fleet.Events
	_, err := stream.GetLastMsgForSubject(ctx, bus.EventSubject(m.id, instance.KindCreated))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		age := time.Since(m.Record().GetInstance().GetCreatedAt().AsTime())
		if kept := stream.CachedInfo().Config.MaxAge; kept > 0 && age > kept {
			return nil
		}
		return fmt.Errorf("the creation of %s is not told yet", m.id)
	}
	return err
}
