package evolution

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// Names that clients of several versions have for the same.
var (
	byEventsNames = []string{"byEvents", "webhookByEvents", "webhook_by_events"}
	base64Names   = []string{"base64", "webhookBase64", "webhook_base64"}
)

// webhookWish is a webhook as a request has it; nil members stay as they are.
type webhookWish struct {
	enabled          bool
	url              string
	headers          map[string]string
	byEvents, base64 *bool
	// events are empty for all.
	events []string
}

// wishOf reads the inner object of a webhook. The error is a failure.
func wishOf(hook map[string]any) (w webhookWish, err error) {
	w.url, w.enabled = text(hook, "url"), hook["enabled"] == true
	if v, ok := first(hook, byEventsNames...); ok {
		w.byEvents = new(v == true)
	}
	if v, ok := first(hook, base64Names...); ok {
		w.base64 = new(v == true)
	}
	if headers, ok := hook["headers"].(map[string]any); ok {
		w.headers = make(map[string]string, len(headers))
		for name, value := range headers {
			w.headers[name] = fmt.Sprint(value)
		}
	}
	list, _ := hook["events"].([]any)
	for _, v := range list {
		name, _ := v.(string)
		if !slices.Contains(dialect.EvolutionEvents(), name) {
			return w, eventsOf(hook)
		}
		w.events = append(w.events, name)
	}
	return w, nil
}

// eventsOf names the events of a webhook that there are none of.
func eventsOf(hook map[string]any) error {
	return invalid(eventList(dialect.EvolutionEvents()).find("instance.webhook.events", hook["events"]))
}

// options are those of the format, where they are given.
func (w webhookWish) options(before map[string]string) map[string]string {
	out := map[string]string{"byEvents": "false", "base64": "false"}
	for name, given := range map[string]*bool{"byEvents": w.byEvents, "base64": w.base64} {
		if v, ok := before[name]; ok {
			out[name] = v
		}
		if given != nil {
			out[name] = strconv.FormatBool(*given)
		}
	}
	return out
}

func (w webhookWish) spec() *pb.WebhookSpec {
	return &pb.WebhookSpec{Url: w.url, Format: string(instance.FormatEvolution), Headers: w.headers, Enabled: new(w.enabled),
		FormatEvents: w.events, FormatOptions: w.options(nil)}
}

// setWebhook stores the webhook of the instance. It takes the body of 2.3.7, and the
// flat one of its documentation and of version 1.
func (a *API) setWebhook(c *call) error {
	sent, err := c.body()
	if err != nil {
		return err
	}
	object := nested(sent.value)
	if err := webhookSchema.check(object); err != nil {
		return err
	}
	wish, err := wishOf(object["webhook"].(map[string]any)) // the schema has checked that it is one
	if err != nil {
		return err
	}
	row, err := a.storeWebhook(c, wish)
	if err != nil {
		return err
	}
	return answer(c.w, http.StatusCreated, row)
}

// nested puts a flat body, which names a url, into the object that the schema wants.
func nested(object map[string]any) map[string]any {
	if _, has := object["webhook"]; has {
		return object
	}
	if _, flat := object["url"]; !flat {
		return object
	}
	inner := make(map[string]any, len(object)+1)
	for name, value := range object {
		inner[name] = value
	}
	if _, has := inner["enabled"]; !has {
		inner["enabled"] = true
	}
	return map[string]any{"webhook": inner}
}

// storeWebhook changes the instance's webhook of this format, or makes it. One with
// an empty URL, which the product stores and never calls, is none.
func (a *API) storeWebhook(c *call, wish webhookWish) (*webhookRow, error) {
	ctx := c.r.Context()
	before, err := a.webhookOf(ctx, c.id())
	if err != nil {
		return nil, err
	}
	switch {
	case wish.url == "":
		if before != nil {
			req := &pb.DeleteWebhookRequest{Ref: string(c.id()), WebhookId: before.GetId()}
			if err := a.Client.Request(ctx, bus.SubjectWebhooksDelete, req, nil); err != nil {
				return nil, err
			}
		}
		return rowWithoutURL(c.one, wish), nil
	case before == nil:
		var reply pb.CreateWebhookReply
		req := &pb.CreateWebhookRequest{Ref: string(c.id()), Webhook: wish.spec()}
		if err := a.Client.Request(ctx, bus.SubjectWebhooksCreate, req, &reply); err != nil {
			return nil, err
		}
		return a.webhookRow(ctx, reply.GetWebhook())
	}
	req := &pb.UpdateWebhookRequest{Ref: string(c.id()), WebhookId: before.GetId(), Url: proto.String(wish.url), Enabled: new(wish.enabled),
		FormatEvents: &pb.EventKinds{Kinds: wish.events}, FormatOptions: &pb.HeaderValues{Values: wish.options(before.GetFormatOptions())}}
	if wish.headers != nil {
		req.Headers = &pb.HeaderValues{Values: wish.headers}
	}
	var reply pb.UpdateWebhookReply
	if err := a.Client.Request(ctx, bus.SubjectWebhooksUpdate, req, &reply); err != nil {
		return nil, err
	}
	return a.webhookRow(ctx, reply.GetWebhook())
}

// findWebhook answers the row, null where there is none.
func (a *API) findWebhook(c *call) error {
	found, err := a.webhookOf(c.r.Context(), c.id())
	if err != nil {
		return err
	}
	row, err := a.webhookRow(c.r.Context(), found)
	if err != nil {
		return err
	}
	return answer(c.w, http.StatusOK, row)
}
