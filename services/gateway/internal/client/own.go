package client

import (
	"context"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// See waits until the view has the revision of a write made through this client,
// for at most two seconds: then the view is late, but the write stands.
func (c *Client) See(ctx context.Context, revision uint64) {
	ctx, cancel := context.WithTimeout(ctx, ownWriteTimeout)
	defer cancel()
	if err := c.views.Instances.WaitRevision(ctx, revision); err != nil && ctx.Err() == context.DeadlineExceeded {
		c.log.Warn("the view of the instances is late", zap.Uint64("revision", revision))
	}
}

// SeeInstance is See for writes whose reply tells no revision: it waits until
// done is true of the instance's record; nil while there is none.
func (c *Client) SeeInstance(ctx context.Context, id instance.ID, done func(*pb.InstanceRecord) bool) {
	ctx, cancel := context.WithTimeout(ctx, ownWriteTimeout)
	defer cancel()
	again := make(chan struct{}, 1)
	defer c.views.Instances.Subscribe(func(change bus.InstanceChange) {
		if change.Key == string(id) {
			select {
			case again <- struct{}{}:
			default:
			}
		}
	})()
	for {
		rec, _, _ := c.views.Instances.Get(id)
		if done(rec) {
			return
		}
		select {
		case <-again:
		case <-ctx.Done():
			if ctx.Err() == context.DeadlineExceeded {
				c.log.Warn("the view of the instances is late", zap.String("instance", string(id)))
			}
			return
		}
	}
}
