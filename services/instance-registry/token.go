package registry

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
)

// rotateToken gives an instance another token; the one before is dead when the
// reply is sent.
func (r *registry) rotateToken(ctx context.Context, req *pb.RotateTokenRequest) (*pb.RotateTokenReply, error) {
	token := req.GetToken()
	if token == "" {
		token = seal.NewToken()
	}
	found, err := r.resolve(ctx, req.GetRef())
	if err != nil {
		return nil, err
	}
	id, hash := found.id(), seal.HashToken(token)
	sealed, err := r.ring.Seal([]byte(token), seal.ForToken(string(id)))
	if err != nil {
		return nil, fmt.Errorf("seal the token: %w", err)
	}
	keys := moved{registry: r}
	rec, err := r.change(ctx, id, func(ctx context.Context, rec record) error {
		before := rec.GetTokenHash()
		if before == hash {
			return errUnchanged
		}
		rec.TokenHash, rec.SealedToken = hash, sealed
		return keys.move(ctx, rec, bus.TokenKey(before, id), bus.TokenKey(hash, id))
	})
	keys.settle(ctx, err)
	if err != nil {
		return nil, err
	}
	r.logOf(ctx).Info("token rotated", zap.String("instance", string(id)))
	return &pb.RotateTokenReply{Token: token, Revision: rec.revision}, nil
}

// resolveToken says exactly, through the leader, whose token this is. An answer
// without instances is the truth.
func (r *registry) resolveToken(ctx context.Context, req *pb.ResolveTokenRequest) (*pb.ResolveTokenReply, error) {
	keys, err := r.instances.Keys(ctx, bus.TokenKeysOf(req.GetTokenHash()))
	if err != nil {
		return nil, err
	}
	reply := &pb.ResolveTokenReply{}
	for _, key := range keys {
		_, id, ok := bus.ParseTokenKey(key)
		if !ok {
			continue
		}
		rec, err := r.load(ctx, id)
		if err != nil {
			return nil, err
		}
		if rec.live() && rec.GetTokenHash() == req.GetTokenHash() {
			reply.InstanceIds = append(reply.InstanceIds, string(id))
		}
	}
	return reply, nil
}
