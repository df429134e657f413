package registry

import (
	"context"
	"strings"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// list answers a page from the view, in the order of ids, which is that of
// creation. What is created while somebody turns the pages comes on a later
// page; nothing is shown twice or left out.
func (r *registry) list(_ context.Context, req *pb.ListInstancesRequest) (*pb.ListInstancesReply, error) {
	var f instance.FieldErrors
	after, size := checkList(&f, req)
	if err := f.Err(); err != nil {
		return nil, err
	}
	name := strings.ToLower(req.GetName())
	reply := &pb.ListInstancesReply{}
	for shared := range r.views.Instances.After(after) {
		rec := record{InstanceRecord: shared}
		i := rec.GetInstance()
		if req.GetProvider() != "" && i.GetProvider() != req.GetProvider() ||
			name != "" && !strings.Contains(strings.ToLower(i.GetName()), name) ||
			req.GetPhase() != "" && string(r.status(rec).Phase) != req.GetPhase() {
			continue
		}
		if len(reply.Instances) == size {
			reply.NextPageToken = instance.PageToken(instance.ID(reply.Instances[size-1].GetId()))
			break
		}
		reply.Instances = append(reply.Instances, r.shown(rec))
	}
	return reply, nil
}
