package dispatcher

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/lanes"
)

// kindTest is the kind in the body of a test webhook. No event has it.
const kindTest = "test"

// testSlack is what a test may take beyond the exchange itself.
const testSlack = 2 * time.Second

// test sends one signed event at once, past every lane, also to a disabled webhook:
// that is how its owner finds out that it works again. It is not retried and leaves no
// trace. The event is of kind "test"; a receiver that reads another format is told the
// state of the instance once more, because it knows nothing else.
func (d *dispatcher) test(ctx context.Context, req *pb.TestWebhookRequest) (*pb.TestWebhookReply, error) {
	rec, in, err := d.find(ctx, req)
	if err != nil {
		return nil, err
	}
	hook := rec.GetWebhook()
	f, known := d.formats.Of(hook.GetFormat())
	if !known {
		return nil, instance.Problemf(instance.CodeConflict, "The webhook has a format that this version does not know.")
	}
	ev := &pb.Event{Id: bus.NewEventID(), Kind: kindTest, Time: timestamppb.Now()}
	if in != nil {
		ev.Instance = &pb.InstanceRef{Id: in.GetId(), Name: in.GetName(), Number: in.GetNumber(), Provider: in.GetProvider()}
	}
	if _, native := f.(format.Native); !native {
		tellState(ev, in.GetStatus())
	}
	parts, err := f.Parts(ctx, ev)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, instance.Problemf(instance.CodeConflict, "There is nothing to tell of this instance in the webhook's format.")
	}
	body, err := parts[0].Body(hook)
	if err != nil {
		return nil, err
	}
	send, err := lanes.Request(d.ring, rec, ev.GetId(), parts[0].MediaType, "", body)
	if err != nil {
		return nil, fmt.Errorf("test of a webhook: %w", err)
	}
	send.Timeout = d.cfg.Timeout
	f.Dress(&send, format.Dressing{Hook: hook, Part: parts[0].Name, Attempt: 1, Now: time.Now()})
	return &pb.TestWebhookReply{Attempt: lanes.Attempt(f.Policy().Classify(d.sender.Send(ctx, send)), 1)}, nil
}

// tellState makes the event one that tells of the instance's present status as if it
// had just changed; one that was never told of is as idle.
func tellState(ev *pb.Event, status *pb.Status) {
	s := &pb.Status{Phase: string(instance.Idle)}
	if status.GetPhase() != "" {
		s = proto.CloneOf(status)
	}
	// Another word than the present one in every format.
	s.PreviousPhase, s.PreviouslyLinked, s.Reason = string(instance.Online), false, ""
	if s.GetAccount() != nil && s.GetPhase() != string(instance.Blocked) {
		s.PreviousPhase = string(instance.Idle)
	}
	ev.Kind, ev.Body = string(instance.KindStatus), &pb.Event_Status{Status: s}
}

// find returns the webhook that the request names, and its instance; a webhook
// of another instance is told apart from none by nothing.
func (d *dispatcher) find(ctx context.Context, req *pb.TestWebhookRequest) (*pb.EndpointRecord, *pb.Instance, error) {
	var of *pb.Instance
	if req.GetRef() != "" {
		found := new(pb.GetInstanceReply)
		if err := bus.Request(ctx, d.deps.Bus, bus.SubjectInstancesGet, &pb.GetInstanceRequest{Ref: req.GetRef()}, found); err != nil {
			return nil, nil, err
		}
		of = found.GetInstance()
	}
	rec, err := d.endpoint(ctx, req.GetWebhookId())
	if err == nil && rec.GetWebhook().GetInstanceId() != of.GetId() {
		err = errNoWebhook
	}
	return rec, of, err
}
