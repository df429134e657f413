package registry

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/services/instance-registry/internal/store"

	pb "pairgate.dev/proto/pairgate/v1"
)

// revealReads is how many records one request reads at a time.
const revealReads = 16

// reveal opens what is kept sealed of instances, as it is now, for the gateways,
// whose imitated products show it again. Who is not known is left out.
func (r *registry) reveal(ctx context.Context, req *pb.RevealRequest) (*pb.RevealReply, error) {
	ids := slices.Compact(slices.Sorted(slices.Values(req.GetInstanceIds())))
	last, err := r.lastOf(ctx, bus.BucketStream(bus.BucketEndpoints))
	if err != nil {
		return nil, err
	}
	if err := r.views.Endpoints.WaitRevision(ctx, last); err != nil {
		return nil, fmt.Errorf("%w: the view of webhooks: %w", store.ErrUnavailable, err)
	}
	found := make([]*pb.InstanceSecrets, len(ids))
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(revealReads)
	for i, id := range ids {
		reading.Go(func() (err error) {
			found[i], err = r.secretsOf(ctx, instance.ID(id))
			return err
		})
	}
	if err := reading.Wait(); err != nil {
		return nil, err
	}
	return &pb.RevealReply{Secrets: slices.DeleteFunc(found, func(s *pb.InstanceSecrets) bool { return s == nil })}, nil
}

// secretsOf returns nil for an instance that does not exist.
func (r *registry) secretsOf(ctx context.Context, id instance.ID) (*pb.InstanceSecrets, error) {
	rec, err := r.load(ctx, id)
	if err != nil || !rec.live() {
		return nil, err
	}
	out := &pb.InstanceSecrets{InstanceId: string(id), Label: rec.GetLabel()}
	token, err := r.ring.Open(rec.GetSealedToken(), seal.ForToken(string(id)))
	if err != nil {
		return nil, fmt.Errorf("open the token of instance %s: %w", id, err)
	}
	out.Token = string(token)
	if len(rec.GetSealedProxyPassword()) > 0 {
		password, err := r.ring.Open(rec.GetSealedProxyPassword(), seal.ForProxyPassword(string(id)))
		if err != nil {
			return nil, fmt.Errorf("open the proxy's password of instance %s: %w", id, err)
		}
		out.ProxyPassword = string(password)
	}
	for _, found := range r.views.Endpoints.ByInstance(id) {
		e := endpoint{EndpointRecord: found}
		if format := instance.Format(e.GetWebhook().GetFormat()); format != instance.FormatGreenAPI && format != instance.FormatEvolution {
			continue
		}
		headers, err := r.openHeaders(e)
		if err != nil {
			return nil, err
		}
		out.Webhooks = append(out.Webhooks, &pb.WebhookHeaders{WebhookId: e.id(), Headers: headers})
	}
	return out, nil
}
