package client

import (
	"context"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// SeeEndpoint waits, for at most two seconds, until done is true of the webhooks of
// the instance: then the view is late, but the write stands.
func (c *Client) SeeEndpoint(ctx context.Context, id instance.ID, done func([]*pb.EndpointRecord) bool) {
	ctx, cancel := context.WithTimeout(ctx, ownWriteTimeout)
	defer cancel()
	again := make(chan struct{}, 1)
	defer c.views.Endpoints.Subscribe(func(bus.EndpointChange) {
		select {
		case again <- struct{}{}:
		default:
		}
	})()
	for !done(c.views.Endpoints.ByInstance(id)) {
		select {
		case <-again:
		case <-ctx.Done():
			if ctx.Err() == context.DeadlineExceeded {
				c.log.Warn("the view of the webhooks is late", zap.String("instance", string(id)))
			}
			return
		}
	}
}
