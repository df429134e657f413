package registry

import (
	"context"

	pb "pairgate.dev/proto/pairgate/v1"
)

// get answers from the leader: what was written before is in it.
func (r *registry) get(ctx context.Context, req *pb.GetInstanceRequest) (*pb.GetInstanceReply, error) {
	rec, err := r.resolve(ctx, req.GetRef())
	if err != nil {
		return nil, err
	}
	return &pb.GetInstanceReply{Instance: r.shown(rec)}, nil
}
