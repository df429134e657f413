package client

import (
	"strconv"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
)

// Numbered returns the record of the instance, not deleted, that has the number, as
// far as the view can be trusted now. ok is false when only the registry can tell:
// Resolve. The record must not be changed.
func (c *Client) Numbered(number uint64) (rec *pb.InstanceRecord, ok bool) {
	if !c.fresh() {
		return nil, false
	}
	id, ok := c.views.Instances.Resolve(strconv.FormatUint(number, 10))
	if !ok {
		return nil, false
	}
	rec, _, ok = c.views.Instances.Get(id)
	return rec, ok && !bus.InstanceDeleted(rec) && rec.GetInstance().GetNumber() == number
}
