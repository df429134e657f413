package evolution

import (
	"context"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// webhookRow is a webhook as the product stores and shows it.
type webhookRow struct {
	ID         string            `json:"id"`
	URL        string            `json:"url"`
	Headers    map[string]string `json:"headers"`
	Enabled    bool              `json:"enabled"`
	Events     []string          `json:"events"`
	ByEvents   bool              `json:"webhookByEvents"`
	Base64     bool              `json:"webhookBase64"`
	CreatedAt  string            `json:"createdAt"`
	UpdatedAt  string            `json:"updatedAt"`
	InstanceID string            `json:"instanceId"`
}

// webhookOf returns the instance's webhook of this format; nil when it has none.
func (a *API) webhookOf(ctx context.Context, id instance.ID) (*pb.Webhook, error) {
	var reply pb.ListWebhooksReply
	if err := a.Client.Request(ctx, bus.SubjectWebhooksList, &pb.ListWebhooksRequest{Ref: string(id)}, &reply); err != nil {
		return nil, err
	}
	for _, w := range reply.GetWebhooks() {
		if w.GetFormat() == string(instance.FormatEvolution) {
			return w, nil
		}
	}
	return nil, nil
}

// webhookRow shows a webhook with its headers; nil for nil. While it is disabled it
// shows no events, as the product does, but keeps them.
func (a *API) webhookRow(ctx context.Context, w *pb.Webhook) (*webhookRow, error) {
	if w == nil {
		return nil, nil
	}
	row := &webhookRow{ID: cuid("webhook", w.GetId()), URL: w.GetUrl(), Enabled: w.GetEnabled(), Events: shownEvents(w.GetEnabled(), w.GetFormatEvents()),
		ByEvents: w.GetFormatOptions()["byEvents"] == "true", Base64: w.GetFormatOptions()["base64"] == "true",
		CreatedAt: isoTime(w.GetCreatedAt().AsTime()), UpdatedAt: isoTime(w.GetUpdatedAt().AsTime()), InstanceID: w.GetInstanceId()}
	if len(w.GetHeaderNames()) == 0 {
		return row, nil
	}
	secrets, err := a.secrets(ctx, w.GetInstanceId())
	if err != nil {
		return nil, err
	}
	for _, h := range secrets[w.GetInstanceId()].GetWebhooks() {
		if h.GetWebhookId() == w.GetId() {
			row.Headers = h.GetHeaders()
		}
	}
	return row, nil
}

// shownEvents are all where none were chosen.
func shownEvents(enabled bool, events []string) []string {
	switch {
	case !enabled:
		return []string{}
	case len(events) == 0:
		return dialect.EvolutionEvents()
	}
	return events
}

func rowWithoutURL(one *pb.Instance, w webhookWish) *webhookRow {
	now := isoTime(time.Now())
	return &webhookRow{ID: cuid("webhook", one.GetId()), Headers: w.headers, Enabled: w.enabled, Events: shownEvents(w.enabled, w.events),
		ByEvents: w.byEvents != nil && *w.byEvents, Base64: w.base64 != nil && *w.base64,
		CreatedAt: now, UpdatedAt: now, InstanceID: one.GetId()}
}
