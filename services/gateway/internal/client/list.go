package client

import (
	"encoding/base64"
	"strings"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// List answers a page of instances from the view, in the order of their creation,
// as the registry does over NATS; page tokens of both are the same. The
// request must have passed CheckList.
func (c *Client) List(req *pb.ListInstancesRequest) *pb.ListInstancesReply {
	after, _ := parsePageToken(req.GetPageToken())
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
			reply.NextPageToken = pageToken(instance.ID(reply.Instances[size-1].GetId()))
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
	if _, ok := parsePageToken(req.GetPageToken()); !ok {
		f.Add("pageToken", "must be a nextPageToken of an earlier answer")
	}
	instance.CheckPageSize(f, "pageSize", req.GetPageSize())
}

// A page token is opaque to users; its form is the registry's.
const pageTokenPrefix = "after:"

func pageToken(last instance.ID) string {
	return base64.RawURLEncoding.EncodeToString([]byte(pageTokenPrefix + string(last)))
}

func parsePageToken(token string) (after instance.ID, ok bool) {
	if token == "" {
		return "", true
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	id, found := strings.CutPrefix(string(text), pageTokenPrefix)
	if err != nil || !found {
		return "", false
	}
	return instance.ParseID(id)
}
