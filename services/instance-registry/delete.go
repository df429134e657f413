package registry

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/instance-registry/internal/store"

	pb "pairgate.dev/proto/pairgate/v1"
)

// delete marks the record as deleted and frees the instance's name and token.
// The owner logs out and says when it is done; the event follows then. Deleting
// what is deleted answers the same again.
func (r *registry) delete(ctx context.Context, req *pb.DeleteInstanceRequest) (*pb.DeleteInstanceReply, error) {
	found, err := r.find(ctx, req.GetRef())
	if err != nil {
		return nil, err
	}
	if !found.exists() || found.GetAbandoned() {
		return nil, errNoInstance
	}
	if found.live() {
		if found, err = r.bury(ctx, found.id()); err != nil {
			return nil, err
		}
	}
	return &pb.DeleteInstanceReply{Request: found.GetDeleteRequest()}, nil
}

func (r *registry) bury(ctx context.Context, id instance.ID) (record, error) {
	var left []store.Claim
	rec, err := r.change(ctx, id, func(ctx context.Context, rec record) error {
		left = left[:0]
		for _, key := range []string{bus.NameKey(rec.GetInstance().GetName()), bus.TokenKey(rec.GetTokenHash(), id)} {
			claim, holder, ok, err := store.Look(ctx, r.instances, key)
			if err != nil {
				return err
			}
			if ok && holder == id {
				left = append(left, claim)
			}
		}
		rec.Instance.Request++
		rec.DeleteRequest = rec.Instance.Request
		rec.DeletedAt = r.timestamp()
		return nil
	})
	if errors.Is(err, errNoInstance) {
		// Somebody else was faster.
		if rec, err = r.load(ctx, id); err == nil && (!rec.exists() || rec.GetAbandoned()) {
			err = errNoInstance
		}
		return rec, err
	}
	if err != nil {
		return record{}, err
	}
	r.logOf(ctx).Info("instance deleted", zap.String("instance", string(id)), zap.Uint64("wish", rec.GetDeleteRequest()))
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	failed := store.UseUp(after, r.instances, bus.NumberKey(rec.GetInstance().GetNumber()), id)
	for _, claim := range left {
		failed = errors.Join(failed, store.Free(after, r.instances, claim))
	}
	if failed != nil {
		r.log.Warn("a claim is left to the sweeper", zap.String("instance", string(id)), zap.Error(failed))
	}
	r.see(ctx, rec.revision)
	return rec, nil
}
