package dispatcher

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/lanes"
)

// kindTest is the kind in the body of a test webhook. No event has it.
const kindTest = "test"

// testSlack is what a test may take beyond the exchange itself.
const testSlack = 2 * time.Second

// test sends one signed event of kind "test" at once, past every lane, also to a
// disabled webhook: that is how its owner finds out that it works again. It is
// not retried and leaves no trace.
func (d *dispatcher) test(ctx context.Context, req *pb.TestWebhookRequest) (*pb.TestWebhookReply, error) {
	rec, ref, err := d.find(ctx, req)
	if err != nil {
		return nil, err
	}
	id := bus.NewEventID()
	body, err := bus.EncodeJSON(&pb.Event{Id: id, Kind: kindTest, Time: timestamppb.Now(), Instance: ref})
	if err != nil {
		return nil, err
	}
	send, err := lanes.Request(d.ring, rec, id, bus.ContentJSON, "", body)
	if err != nil {
		return nil, fmt.Errorf("test of a webhook: %w", err)
	}
	send.Timeout = d.cfg.Timeout
	if f, known := d.formats.Of(rec.GetWebhook().GetFormat()); known {
		f.Dress(&send, format.Dressing{Hook: rec.GetWebhook(), Attempt: 1, Now: time.Now()})
	}
	return &pb.TestWebhookReply{Attempt: lanes.Attempt(d.sender.Send(ctx, send), 1)}, nil
}

// find returns the webhook that the request names, and its instance; a webhook
// of another instance is told apart from none by nothing.
func (d *dispatcher) find(ctx context.Context, req *pb.TestWebhookRequest) (*pb.EndpointRecord, *pb.InstanceRef, error) {
	var of *pb.InstanceRef
	if req.GetRef() != "" {
		found := new(pb.GetInstanceReply)
		if err := bus.Request(ctx, d.deps.Bus, bus.SubjectInstancesGet, &pb.GetInstanceRequest{Ref: req.GetRef()}, found); err != nil {
			return nil, nil, err
		}
		in := found.GetInstance()
		of = &pb.InstanceRef{Id: in.GetId(), Name: in.GetName(), Number: in.GetNumber(), Provider: in.GetProvider()}
	}
	rec, err := d.endpoint(ctx, req.GetWebhookId())
	if err == nil && rec.GetWebhook().GetInstanceId() != of.GetId() {
		err = errNoWebhook
	}
	return rec, of, err
}
