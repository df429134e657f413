package console

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

const (
	// webhooksInterval is how often an open page asks for the webhooks and their
	// deliveries, and webhooksTimeout how long it is held up by that.
	webhooksInterval = 5 * time.Second
	webhooksTimeout  = 2 * time.Second
	// shownDeliveries is how many deliveries of each webhook the page lists, and
	// shownWebhooks of how many webhooks it asks for them.
	shownDeliveries = 5
	shownWebhooks   = 10
)

// webhooksPart is the webhooks of an instance and how they do.
type webhooksPart struct {
	Webhooks []shownWebhook
	Failed   bool
}

// shownWebhook is a webhook without what may be secret.
type shownWebhook struct {
	ID, URL, Format, Reason string
	Events                  []string
	Enabled                 bool
	// Deliveries are the last ones of this instance, the newest first.
	Deliveries []shownDelivery
	// Unread says that the deliveries could not be read, or are not asked for.
	Unread bool
}

// shownDelivery is a delivery in one line. What the receiver has answered is not
// shown: it may hold anything.
type shownDelivery struct {
	Kind, Tone, Outcome string
	// At is the time of the last attempt; nil before it.
	At *timestamppb.Timestamp
}

// Health is how the webhook does, by its last deliveries: a tone and words for it.
func (w shownWebhook) Health() (h struct{ Tone, Words string }) {
	h.Tone, h.Words = "good", "On"
	switch {
	case !w.Enabled:
		h.Tone, h.Words = "warn", "Off"
		if w.Reason != "" {
			h.Words += ": " + w.Reason
		}
	case slices.ContainsFunc(w.Deliveries, func(d shownDelivery) bool { return d.Tone == "warn" }):
		h.Tone, h.Words = "warn", "Trying again"
	case len(w.Deliveries) > 0 && w.Deliveries[0].Tone == "bad":
		h.Tone, h.Words = "bad", "Failing"
	case len(w.Deliveries) > 0 && w.Deliveries[0].Tone == "good":
		h.Words = "Delivering"
	}
	return h
}

// webhooks asks for the webhooks of the instance and their last deliveries. A
// webhook whose deliveries cannot be read is shown without them.
func (c *Console) webhooks(ctx context.Context, id instance.ID) webhooksPart {
	ctx, cancel := context.WithTimeout(ctx, webhooksTimeout)
	defer cancel()
	var reply pb.ListWebhooksReply
	if err := c.Client.Request(ctx, bus.SubjectWebhooksList, &pb.ListWebhooksRequest{Ref: string(id)}, &reply); err != nil {
		return webhooksPart{Failed: true}
	}
	slices.SortFunc(reply.Webhooks, func(a, b *pb.Webhook) int { return a.GetCreatedAt().AsTime().Compare(b.GetCreatedAt().AsTime()) })
	part := webhooksPart{Webhooks: make([]shownWebhook, len(reply.GetWebhooks()))}
	var asking errgroup.Group
	for n, hook := range reply.GetWebhooks() {
		shown := &part.Webhooks[n]
		*shown = shownWebhook{ID: hook.GetId(), URL: bare(hook.GetUrl()), Format: hook.GetFormat(), Events: hook.GetEvents(),
			Enabled: hook.GetEnabled(), Reason: hook.GetDisabledReason(), Unread: true}
		if n < shownWebhooks {
			asking.Go(func() error {
				c.deliveries(ctx, id, shown)
				return nil
			})
		}
	}
	_ = asking.Wait() // none of them fails
	return part
}

func (c *Console) deliveries(ctx context.Context, id instance.ID, of *shownWebhook) {
	var reply pb.ListDeliveriesReply
	err := c.Client.Request(ctx, bus.SubjectWebhooksDeliveries,
		&pb.ListDeliveriesRequest{WebhookId: of.ID, PageSize: shownDeliveries, InstanceIds: []string{string(id)}}, &reply)
	if err != nil {
		return
	}
	of.Unread = false
	for _, d := range reply.GetDeliveries() {
		of.Deliveries = append(of.Deliveries, lineOf(d))
	}
}

// lineOf puts a delivery into words.
func lineOf(d *pb.Delivery) shownDelivery {
	last := d.GetLastAttempt()
	line := shownDelivery{Kind: d.GetKind(), At: last.GetAt()}
	switch {
	case d.GetState() == "delivered":
		line.Tone, line.Outcome = "good", "delivered"
	case d.GetState() == "pending" && d.GetAttempts() == 0:
		line.Tone, line.Outcome = "calm", "waiting"
	case d.GetState() == "pending":
		line.Tone, line.Outcome = "warn", "failed, trying again: "+why(last)
	case d.GetState() == "dropped":
		line.Tone, line.Outcome = "calm", "dropped: "+d.GetReason()
	default:
		line.Tone, line.Outcome = "bad", "failed: "+why(last)
	}
	return line
}

// why says what was wrong with an attempt.
func why(a *pb.DeliveryAttempt) string {
	if code := a.GetStatusCode(); code != 0 {
		return "HTTP " + strconv.FormatUint(uint64(code), 10)
	}
	return a.GetError()
}

// bare is a URL without the parts in which people keep secrets.
func bare(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "a URL that cannot be shown"
	}
	hidden := u.RawQuery != ""
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	if hidden {
		return u.String() + "?…"
	}
	return u.String()
}
