package lanes

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/services/webhook-dispatcher/internal/lane"
)

// resolve finds out about endpoints that are owed something and whose record is
// not in the view: either the view is behind, or the endpoint was deleted. What
// a deleted endpoint was owed is purged.
func (r *Runner) resolve(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.unresolved:
		}
		for !r.resolveOnce(ctx) {
			timer := time.NewTimer(troublePause)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// resolveOnce returns false when the server could not be asked.
func (r *Runner) resolveOnce(ctx context.Context) bool {
	r.mu.Lock()
	unknown := take(r.unknown)
	r.mu.Unlock()
	if len(unknown) > 0 && r.CatchUp(ctx) != nil {
		r.putBack(r.unknown, unknown)
		return false
	}
	for _, id := range unknown {
		rec, _, known := r.o.Endpoints.Get(id)
		r.mu.Lock()
		if known {
			r.machine.SetEndpoint(id, stateOf(rec, true))
			r.wake()
		} else if state, owed := r.machine.EndpointState(id); owed && state == lane.Unknown {
			r.forget(id)
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	gone := take(r.gone)
	r.mu.Unlock()
	for i, id := range gone {
		if _, _, back := r.o.Endpoints.Get(id); back {
			continue
		}
		if err := r.deliveries.Purge(ctx, jetstream.WithPurgeSubject(bus.LanesOfEndpoint(id))); err != nil {
			r.o.Log.Warn("what a deleted webhook is owed cannot be purged yet", zap.String("webhook", id), zap.Error(err))
			r.putBack(r.gone, gone[i:])
			return false
		}
		r.o.Log.Info("webhook deleted, what it was owed is purged", zap.String("webhook", id))
	}
	return true
}

// CatchUp waits until the view holds everything that is in the bucket of
// endpoints now. The error is the server's, or that of the wait, 10 s at most.
func (r *Runner) CatchUp(ctx context.Context) error {
	info, err := r.endpoints.Info(ctx)
	if err != nil {
		return fmt.Errorf("asking how far the webhooks go: %w", err)
	}
	wait, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return r.o.Endpoints.WaitRevision(wait, info.State.LastSeq)
}

func take(set map[string]struct{}) []string {
	ids := make([]string, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	clear(set)
	return ids
}

func (r *Runner) putBack(set map[string]struct{}, ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		set[id] = struct{}{}
	}
}
