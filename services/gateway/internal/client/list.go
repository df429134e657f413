package client

import (
	"strings"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// List answers a page of instances from the view, in the order of their creation,
// as the registry does over NATS; page tokens of both are the same. The
// request must have passed CheckList.
func (c *Client) List(req *pb.ListInstancesRequest) *pb.ListInstancesReply {
	after, _ := instance.ParsePageToken(req.GetPageToken())
	size := int(req.GetPageSize())
	if size == 0 {
		size = int(instance.DefaultPageSize)
	}
	name := strings.ToLower(req.GetName())
	reply := &pb.ListInstancesReply{}
	for rec := range c.views.Instances.After(after) {
		i := rec.GetInstance()
		if req.GetProvider() != "" && i.GetProvider() != req.GetProvider() ||
			name != "" && !strings.Contains(strings.ToLower(i.GetName()), name) {
			continue
		}
		if req.GetPhase() != "" && c.phase(i) != req.GetPhase() {
			continue
		}
		if len(reply.Instances) == size {
			reply.NextPageToken = instance.PageToken(instance.ID(reply.Instances[size-1].GetId()))
			break
		}
		reply.Instances = append(reply.Instances, c.shown(rec))
	}
	return reply
}

func (c *Client) phase(i *pb.Instance) string {
	status, ok := c.views.Sessions.Status(instance.ID(i.GetId()))
	if !ok {
		return string(instance.Idle)
	}
	return string(status.Phase)
}

// CheckList adds every bad field of a list request.
func CheckList(f *instance.FieldErrors, req *pb.ListInstancesRequest) {
	instance.CheckPhase(f, "phase", req.GetPhase())
	if req.GetProvider() != "" {
		instance.CheckProvider(f, "provider", req.GetProvider())
	}
	if _, ok := instance.ParsePageToken(req.GetPageToken()); !ok {
		f.Add("pageToken", "must be a nextPageToken of an earlier answer")
	}
	instance.CheckPageSize(f, "pageSize", req.GetPageSize())
}
