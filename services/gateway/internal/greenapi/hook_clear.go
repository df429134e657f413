package greenapi

import (
	"context"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
)

// dropOwed drops what is still to be sent to webhookUrl. Deliveries end with their
// webhook, so a new one takes its place: made disabled, so that nothing is sent
// twice, and enabled when the old one is gone. Whatever fails in between, there is
// one webhook with the URL at every moment.
func (a *API) dropOwed(ctx context.Context, c *called) error {
	unlock, err := a.changing.lock(ctx, c.id)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := a.hookOf(ctx, c.id)
	if err != nil || urlOf(old) == "" {
		return err
	}
	headers, err := a.headersOf(ctx, old)
	if err != nil {
		return err
	}
	spec := &pb.WebhookSpec{Url: old.GetUrl(), Format: old.GetFormat(), FormatEvents: old.GetFormatEvents(), Events: old.GetEvents(),
		Headers: headers, Enabled: new(false)}
	var made pb.CreateWebhookReply
	if err := a.Client.Request(ctx, bus.SubjectWebhooksCreate, &pb.CreateWebhookRequest{Ref: string(c.id), Webhook: spec}, &made); err != nil {
		return err
	}
	if err := a.removeHook(ctx, old); err != nil {
		return err
	}
	if !old.GetEnabled() {
		return nil
	}
	var on pb.UpdateWebhookReply
	err = a.Client.Request(ctx, bus.SubjectWebhooksUpdate, &pb.UpdateWebhookRequest{Ref: string(c.id), WebhookId: made.GetWebhook().GetId(),
		Enabled: new(true)}, &on)
	if err != nil {
		return err
	}
	a.Client.SeeEndpoint(ctx, c.id, func(all []*pb.EndpointRecord) bool { return hasHook(all, on.GetWebhook()) })
	return nil
}
