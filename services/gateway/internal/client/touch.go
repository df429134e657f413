package client

import (
	"context"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

const (
	// touchInterval is the least time between two hints for one instance.
	touchInterval = 5 * time.Second
	maxTouched    = 100_000
)

// Touch tells the owner of the instance that somebody looks at its code, which
// extends an open pairing window. It never opens one. Of several calls in five
// seconds the first counts; nothing is sent where no window is open.
func (c *Client) Touch(ctx context.Context, id instance.ID) {
	status, _ := c.views.Sessions.Status(id)
	if !status.Phase.Window() || !c.touched.add(string(id)) {
		return
	}
	if err := bus.Send(ctx, c.conn, bus.SessionSubject(id.Partition(), id, bus.VerbTouch), &pb.TouchRequest{}); err != nil {
		c.log.Debug("pairing window not extended", zap.String("instance", string(id)), zap.Error(err))
	}
}
