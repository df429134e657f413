package client

import (
	"context"
	"slices"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// Holders returns the instances whose token has the hash, as the view knows it.
// known is false when only the registry can tell: AskHolders. Several instances
// may have one token, because creators may choose it.
func (c *Client) Holders(hash string) (ids []instance.ID, known bool) {
	if !c.fresh() {
		return nil, false
	}
	if ids = c.views.Instances.ByToken(hash); len(ids) > 0 {
		return ids, true
	}
	return nil, c.unknownTokens.has(hash)
}

// AskHolders asks the registry whose token has the hash. An answer of none is the truth.
func (c *Client) AskHolders(ctx context.Context, hash string) ([]instance.ID, error) {
	var reply pb.ResolveTokenReply
	if err := c.Request(ctx, bus.SubjectInstancesResolveToken, &pb.ResolveTokenRequest{TokenHash: hash}, &reply); err != nil {
		return nil, err
	}
	ids := make([]instance.ID, 0, len(reply.GetInstanceIds()))
	for _, id := range reply.GetInstanceIds() {
		ids = append(ids, instance.ID(id))
	}
	if len(ids) == 0 {
		c.unknownTokens.add(hash)
	}
	return ids, nil
}

// StillHolds says whether the token with the hash is still that of the instance,
// or the instance is deleted. It looks at the view alone, for streams that were
// let in before.
func (c *Client) StillHolds(hash string, id instance.ID) bool {
	rec, _, ok := c.views.Instances.Get(id)
	return !ok || bus.InstanceDeleted(rec) || slices.Contains(c.views.Instances.ByToken(hash), id)
}
