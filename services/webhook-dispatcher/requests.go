package dispatcher

import (
	"context"
	"errors"
	"slices"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// Requests that read whole streams, or write thousands of deliveries, are few at a time.
const (
	heavyRunning, heavyWaiting = 4, 32
	listTimeout                = 15 * time.Second
	replayTimeout              = 30 * time.Second
)

var errNoWebhook = instance.Problemf(instance.CodeWebhookNotFound, "There is no such webhook here.")

// serve answers requests about deliveries; those about endpoints are the registry's.
func (d *dispatcher) serve() error {
	heavy := bus.WithConcurrency(heavyRunning, heavyWaiting)
	return errors.Join(
		bus.Handle(d.requests, bus.SubjectWebhooksTest, d.test, bus.WithTimeout(d.cfg.Timeout+testSlack),
			bus.WithValidate(func(q *pb.TestWebhookRequest) (f instance.FieldErrors) {
				require(&f, "webhookId", q.GetWebhookId())
				return f
			}),
			bus.WithDescription("Sends a signed test event to a webhook now, and tells what came of it.")),
		bus.Handle(d.requests, bus.SubjectWebhooksDeliveries, d.deliveries, heavy, bus.WithTimeout(listTimeout),
			bus.WithValidate(checkDeliveries),
			bus.WithDescription("Lists what a webhook is owed, was sent and will not get, those of the newest events first.")),
		bus.Handle(d.requests, bus.SubjectWebhooksRedeliver, d.redeliver, heavy, bus.WithTimeout(listTimeout),
			bus.WithValidate(func(q *pb.RedeliverRequest) (f instance.FieldErrors) {
				require(&f, "deliveryId", q.GetDeliveryId())
				return f
			}),
			bus.WithDescription("Makes one delivery owed again.")),
		bus.Handle(d.requests, bus.SubjectWebhooksReplay, d.replay, heavy, bus.WithTimeout(replayTimeout),
			bus.WithValidate(checkReplay),
			bus.WithDescription("Makes the events of a time owed to a webhook again.")),
	)
}

func require(f *instance.FieldErrors, field, value string) {
	if value == "" {
		f.Add(field, "is required")
	}
}

// endpoint returns the record of a webhook, as it was when the request came or later:
// who has just changed it means it as it is now.
func (d *dispatcher) endpoint(ctx context.Context, id string) (*pb.EndpointRecord, error) {
	if err := d.runner.CatchUp(ctx); err != nil {
		return nil, err
	}
	if rec, _, ok := d.hooks.Get(id); ok {
		return rec, nil
	}
	return nil, errNoWebhook
}

// endpointOf is endpoint for a caller who may see the webhooks of some instances
// only; none of them means all. A webhook of another is told apart from none by nothing.
func (d *dispatcher) endpointOf(ctx context.Context, id string, instances []string) (*pb.EndpointRecord, error) {
	rec, err := d.endpoint(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(instances) > 0 && !slices.Contains(instances, rec.GetWebhook().GetInstanceId()) {
		return nil, errNoWebhook
	}
	return rec, nil
}
