package registry

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/instance-registry/internal/store"
)

// sweeper removes what a crash has left behind, and what is left of deleted
// instances when everybody has heard of it. It decides by reads through the
// leader and acts by conditional writes, so several replicas may sweep at once.
type sweeper struct {
	*registry
	life *lifecycle
	log  *zap.Logger

	// next is the sequence of the bucket's stream from which claims were not looked at yet.
	next uint64
	// suspects are claims that no record was seen to use, by the time they were written.
	suspects map[string]time.Time
	// told are the deleted instances whose last event was seen.
	told map[instance.ID]lastTold
	// round counts sweeps.
	round int
}

// wholeEvery is how often, counted in sweeps, all claims are looked at again and
// not only the new ones. A claim that became an orphan late, by a crash between a
// rename and the freeing of the old name, is found only so.
const wholeEvery = 20

func newSweeper(r *registry, life *lifecycle) *sweeper {
	return &sweeper{registry: r, life: life, log: r.log.Named("sweeper"), suspects: map[string]time.Time{}, told: map[instance.ID]lastTold{}}
}

// run sweeps until ctx ends, at intervals that differ from process to process.
func (s *sweeper) run(ctx context.Context) {
	for {
		half := s.cfg.SweepInterval / 2
		sleep(ctx, half+rand.N(2*half+1))
		if ctx.Err() != nil {
			return
		}
		if err := s.sweep(ctx, s.round%wholeEvery == 0); err != nil && ctx.Err() == nil {
			s.log.Warn("sweep cut short", zap.Error(err))
		}
		s.round++
	}
}

// sweep looks at new claims, or at all, frees those that are orphans, removes
// webhooks of instances that never came to be, and cleans up after deleted instances.
func (s *sweeper) sweep(ctx context.Context, whole bool) error {
	if err := s.look(ctx, whole); err != nil {
		return err
	}
	for key, written := range s.suspects {
		if s.now().Sub(written) < s.cfg.ClaimAge {
			continue
		}
		freed, err := s.freeOrphan(ctx, key)
		if err != nil {
			return err
		}
		delete(s.suspects, key)
		if freed {
			s.metrics.swept.WithLabelValues("claim").Inc()
			s.log.Info("claim left behind was freed")
		}
	}
	if err := s.sweepEndpoints(ctx); err != nil {
		return err
	}
	return s.clean(ctx)
}

// look notes the claims that no record uses, as far as the view knows: what it
// does not know yet only makes a suspect that turns out to be none.
func (s *sweeper) look(ctx context.Context, whole bool) error {
	last, err := s.lastOf(ctx, bus.BucketStream(bus.BucketInstances))
	if err != nil {
		return err
	}
	from := s.next
	if whole {
		from = 0
	}
	if from > last {
		return nil
	}
	err = store.Scan(ctx, s.conn.JetStream(), bus.BucketInstances, store.ScanOptions{From: from, Keys: []string{bus.NameKeys, bus.NumberKeys, bus.TokenKeys}}, func(key string, cell store.Cell) error {
		holder, used := store.Holder(cell)
		shared, _, known := s.views.Instances.Get(holder)
		switch {
		case !cell.Present:
			delete(s.suspects, key)
			return s.forgetMarker(ctx, key, cell)
		case used || known && (record{InstanceRecord: shared, revision: 1}).uses(key):
			delete(s.suspects, key)
		default:
			s.suspects[key] = cell.Stored
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.next = last + 1
	if !whole {
		return nil
	}
	return store.Scan(ctx, s.conn.JetStream(), bus.BucketInstances, store.ScanOptions{Keys: []string{bus.InstanceKeys}, WithoutValues: true}, func(key string, cell store.Cell) error {
		if cell.Present {
			return nil
		}
		return s.forgetMarker(ctx, key, cell)
	})
}

// markerAge is the age from which the trace of a removed key is removed too:
// until then every follower has seen it.
const markerAge = time.Hour

func (s *sweeper) forgetMarker(ctx context.Context, key string, cell store.Cell) error {
	if s.now().Sub(cell.Stored) < markerAge {
		return nil
	}
	return store.Forget(ctx, s.records, bus.BucketInstances, key, cell.Revision)
}

// sweepEndpoints removes the webhooks of creations that were never finished.
func (s *sweeper) sweepEndpoints(ctx context.Context) error {
	for e := range s.views.Endpoints.All() {
		of := instance.ID(e.GetWebhook().GetInstanceId())
		if of == "" || s.now().Sub(e.GetWebhook().GetCreatedAt().AsTime()) < s.cfg.ClaimAge {
			continue
		}
		if shared, _, known := s.views.Instances.Get(of); known && !shared.GetAbandoned() {
			continue
		}
		rec, err := s.abandon(ctx, of)
		if err != nil {
			return err
		}
		if !rec.GetAbandoned() {
			continue
		}
		if err := s.removeEndpoint(ctx, e.GetWebhook().GetId()); err != nil {
			return err
		}
		s.metrics.swept.WithLabelValues("webhook").Inc()
		s.log.Info("webhook left behind was removed", zap.String("webhook", e.GetWebhook().GetId()))
	}
	return nil
}
