package native

import (
	"context"
	"net/http"
	"time"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/web"
)

// replayTimeout is a little longer than the dispatcher goes on with one replay.
const replayTimeout = 30 * time.Second

// registerDeliveries adds the routes of the log of deliveries. The admin reaches
// every webhook; a token those of its own instance, not those of all instances.
func (a *API) registerDeliveries(rt *web.Router) {
	rt.Handle(http.MethodGet, "/v1/webhooks/{webhookId}/deliveries", a.authenticated(a.deliveries))
	rt.Handle(http.MethodPost, "/v1/webhooks/{webhookId}/replay", a.authenticated(a.replay))
	rt.Handle(http.MethodPost, "/v1/deliveries/{id}/redeliver", a.authenticated(a.redeliver))
}

// within returns the instances whose webhooks the sender may see; none for all.
func within(ctx context.Context) []string {
	who := principalOf(ctx)
	if who.admin {
		return nil
	}
	ids := make([]string, len(who.own))
	for i, id := range who.own {
		ids[i] = string(id)
	}
	return ids
}

// deliveries answers a page of what a webhook is owed, was sent, and will not get.
func (a *API) deliveries(w http.ResponseWriter, r *http.Request) error {
	q := web.ParseQuery(r.URL.RawQuery)
	req := &pb.ListDeliveriesRequest{WebhookId: r.PathValue("webhookId"), State: q.Text("state"), PageSize: q.Uint32("pageSize"),
		PageToken: q.Text("pageToken"), InstanceIds: within(r.Context())}
	var reply pb.ListDeliveriesReply
	if err := a.Client.Checked(r.Context(), bus.SubjectWebhooksDeliveries, q.Bad, nil, req, &reply); err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, &reply)
}

// redeliver answers 202 with the delivery, which is owed again.
func (a *API) redeliver(w http.ResponseWriter, r *http.Request) error {
	req := &pb.RedeliverRequest{}
	bad, err := web.Decode(w, r, req, "deliveryId", "instanceIds")
	if err != nil {
		return err
	}
	req.DeliveryId, req.InstanceIds = r.PathValue("id"), within(r.Context())
	var reply pb.RedeliverReply
	if err := a.Client.Checked(r.Context(), bus.SubjectWebhooksRedeliver, bad, nil, req, &reply); err != nil {
		return err
	}
	return web.JSON(w, http.StatusAccepted, reply.GetDelivery())
}

// replay answers 202 with how many deliveries are owed again, and where to go on
// when there are more than one request may ask for.
func (a *API) replay(w http.ResponseWriter, r *http.Request) error {
	req := &pb.ReplayRequest{}
	bad, err := web.Decode(w, r, req, "webhookId", "instanceIds")
	if err != nil {
		return err
	}
	req.WebhookId, req.InstanceIds = r.PathValue("webhookId"), within(r.Context())
	ctx, cancel := context.WithTimeout(r.Context(), replayTimeout)
	defer cancel()
	var reply pb.ReplayReply
	if err := a.Client.Checked(ctx, bus.SubjectWebhooksReplay, bad, nil, req, &reply); err != nil {
		return err
	}
	return web.JSON(w, http.StatusAccepted, &reply)
}
