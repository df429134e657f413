package client

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// ErrNoInstance is the problem of a ref that nothing is known by.
var ErrNoInstance = instance.Problemf(instance.CodeInstanceNotFound, "No instance has this id, number or name.")

// Resolve finds the instance, not deleted, that a ref means: its id, else its
// number, else its name. The error is ErrNoInstance only when the registry says
// so, now or less than a second ago.
func (c *Client) Resolve(ctx context.Context, ref string) (instance.ID, error) {
	if c.fresh() {
		if id, ok := c.views.Instances.Resolve(ref); ok {
			return id, nil
		}
	}
	if c.unknownRefs.has(ref) {
		return "", ErrNoInstance
	}
	var reply pb.GetInstanceReply
	if err := c.Request(ctx, bus.SubjectInstancesGet, &pb.GetInstanceRequest{Ref: ref}, &reply); err != nil {
		p, ok := errors.AsType[*instance.Problem](err)
		if ok && (p.Code == instance.CodeInstanceNotFound || p.Code == instance.CodeInvalidRequest) {
			c.unknownRefs.add(ref)
			return "", ErrNoInstance
		}
		return "", err
	}
	return instance.ID(reply.GetInstance().GetId()), nil
}

// ResolveAmong finds the instance that a ref means among the given ones, by the
// same rules. ok is false when it is none of them; whether it is another's, or
// nobody's, is not looked at.
func (c *Client) ResolveAmong(ctx context.Context, ids []instance.ID, ref string) (id instance.ID, ok bool, err error) {
	if as, isID := instance.ParseID(ref); isID {
		return as, slices.Contains(ids, as), nil
	}
	name := strings.TrimSpace(ref)
	for _, id := range ids {
		i, err := c.Instance(ctx, id)
		if errors.Is(err, ErrNoInstance) {
			continue
		}
		if err != nil {
			return "", false, err
		}
		if name == strconv.FormatUint(i.GetNumber(), 10) || name == i.GetName() {
			return id, true, nil
		}
	}
	return "", false, nil
}

// Instance returns an instance, not deleted, with its status. It must not be changed.
func (c *Client) Instance(ctx context.Context, id instance.ID) (*pb.Instance, error) {
	if c.fresh() {
		if rec, _, ok := c.views.Instances.Get(id); ok {
			if bus.InstanceDeleted(rec) {
				return nil, ErrNoInstance
			}
			return c.shown(rec), nil
		}
	}
	var reply pb.GetInstanceReply
	err := c.Request(ctx, bus.SubjectInstancesGet, &pb.GetInstanceRequest{Ref: string(id)}, &reply)
	if p, ok := errors.AsType[*instance.Problem](err); ok && p.Code == instance.CodeInstanceNotFound {
		return nil, ErrNoInstance
	}
	if err != nil {
		return nil, err
	}
	return reply.GetInstance(), nil
}

// shown is a record as replies show it.
func (c *Client) shown(rec *pb.InstanceRecord) *pb.Instance {
	out := proto.CloneOf(rec.GetInstance())
	status, ok := c.views.Sessions.Status(instance.ID(out.GetId()))
	if !ok {
		status = instance.Initial(out.GetCreatedAt().AsTime())
	}
	out.Status = bus.StatusToProto(status)
	return out
}

// Style is how the pictures of the instance's codes look.
func (c *Client) Style(ctx context.Context, id instance.ID) (*pb.QrStyle, error) {
	i, err := c.Instance(ctx, id)
	return i.GetSettings().GetQr(), err
}
