package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/instance-registry/internal/store"
)

// clean cleans up after each deleted instance, step by step: its last event, its
// webhooks once they have delivered it, and, when the retention is over, its
// events and its record.
func (s *sweeper) clean(ctx context.Context) error {
	for shared := range s.views.Instances.All() {
		rec := record{InstanceRecord: shared, revision: 1}
		if rec.live() {
			continue
		}
		if err := s.cleanOne(ctx, rec.id()); err != nil {
			return err
		}
	}
	return nil
}

func (s *sweeper) cleanOne(ctx context.Context, id instance.ID) error {
	shared, revision, ok := s.views.Instances.Get(id)
	if !ok {
		return nil
	}
	rec := record{InstanceRecord: shared, revision: revision}
	if rec.GetAbandoned() {
		// Nobody ever knew of it; only a write on its way might still come.
		if s.now().Sub(rec.GetDeletedAt().AsTime()) < s.cfg.Retention {
			return nil
		}
		return s.removeRecord(ctx, rec)
	}
	told, known := s.told[id]
	if !known {
		if status, ok := s.views.Sessions.Status(id); ok && status.Phase != instance.Deleted {
			return nil // its owner is not done with it
		}
		var err error
		if told, err = s.life.deletedEvent(ctx, rec); err != nil || told.sequence == 0 {
			return err
		}
		s.told[id] = told
	}
	left, err := s.cleanWebhooks(ctx, id, told.sequence)
	if err != nil || left > 0 || s.now().Sub(told.at) < s.cfg.Retention {
		return err
	}
	if err := store.UseUp(ctx, s.instances, bus.NumberKey(rec.GetInstance().GetNumber()), id); err != nil {
		return err
	}
	if err := s.purgeEvents(ctx, id); err != nil {
		return err
	}
	if err := s.removeRecord(ctx, rec); err != nil {
		return err
	}
	delete(s.told, id)
	s.metrics.cleaned.Inc()
	s.log.Info("deleted instance cleaned up", zap.String("instance", string(id)))
	return nil
}

// cleanWebhooks notes at each webhook of a deleted instance that it ends, and
// removes those that have delivered the last event or had the retention for it.
func (s *sweeper) cleanWebhooks(ctx context.Context, id instance.ID, lastEvent uint64) (left int, err error) {
	for _, e := range s.views.Endpoints.ByInstance(id) {
		webhook := e.GetWebhook().GetId()
		if e.GetInstanceDeletedAt() == nil {
			left++
			_, err := s.changeEndpoint(ctx, webhook, func(e endpoint) error {
				e.InstanceDeletedAt = s.timestamp()
				return nil
			})
			if err != nil && !errors.Is(err, errNoWebhook) {
				return left, err
			}
			continue
		}
		over := s.now().Sub(e.GetInstanceDeletedAt().AsTime()) > s.cfg.Retention
		if !over {
			if over, err = s.drained(ctx, webhook, id, lastEvent); err != nil {
				return left, err
			}
		}
		if !over {
			left++
			continue
		}
		if err := s.removeEndpoint(ctx, webhook); err != nil {
			return left, err
		}
		s.log.Info("webhook of a deleted instance removed", zap.String("webhook", webhook), zap.String("instance", string(id)))
	}
	return left, nil
}

// drained says whether everything up to the event was routed, and nothing of the
// instance is owed to the webhook any more.
func (s *sweeper) drained(ctx context.Context, webhook string, id instance.ID, event uint64) (bool, error) {
	routed, err := bus.ReadRolePosition(ctx, s.conn, bus.RoleRouter)
	if err != nil || routed.Sequence < event {
		return false, err
	}
	deliveries, err := s.conn.JetStream().Stream(ctx, bus.StreamDeliveries)
	if err != nil {
		return false, fmt.Errorf("stream %s: %w", bus.StreamDeliveries, err)
	}
	owed, err := store.Subjects(ctx, deliveries, bus.LaneSubject(webhook, id))
	return len(owed) == 0, err
}

// purgeEvents removes the events of an instance but the last one: it says, to
// whoever derives events again, that there is nothing more to tell, and ages out.
func (s *sweeper) purgeEvents(ctx context.Context, id instance.ID) error {
	subjects, err := store.Subjects(ctx, s.events, bus.EventsOf(id))
	if err != nil {
		return err
	}
	for subject := range subjects {
		if subject == bus.EventSubject(id, instance.KindDeleted) {
			continue
		}
		if err := s.events.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return fmt.Errorf("purge the events of instance %s: %w", id, err)
		}
	}
	return nil
}

// removeRecord removes a record if it is still the one that was looked at.
func (s *sweeper) removeRecord(ctx context.Context, rec record) error {
	err := s.instances.Remove(ctx, bus.InstanceKey(rec.id()), rec.revision)
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}
