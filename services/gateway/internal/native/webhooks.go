package native

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/web"
)

// testTimeout is longer than any receiver may take.
const testTimeout = time.Minute

// guard serves a handler for the instance of the route, or for all instances, as the empty id.
type guard func(func(http.ResponseWriter, *http.Request, instance.ID) error) web.Handler

// registerWebhooks adds the routes of the webhooks under base.
func (a *API) registerWebhooks(rt *web.Router, base string, of guard) {
	rt.Handle(http.MethodPost, base, of(a.createWebhook))
	rt.Handle(http.MethodGet, base, of(a.listWebhooks))
	rt.Handle(http.MethodGet, base+"/{webhookId}", of(a.getWebhook))
	rt.Handle(http.MethodPatch, base+"/{webhookId}", of(a.updateWebhook))
	rt.Handle(http.MethodDelete, base+"/{webhookId}", of(a.deleteWebhook))
	rt.Handle(http.MethodPost, base+"/{webhookId}/test", of(a.testWebhook))
}

// createWebhook answers 201 with the webhook; a secret that was made is shown here only.
func (a *API) createWebhook(w http.ResponseWriter, r *http.Request, of instance.ID) error {
	spec := &pb.WebhookSpec{}
	bad, err := web.Decode(w, r, spec)
	if err != nil {
		return err
	}
	inBody := func(field string) string { return strings.TrimPrefix(field, "webhook.") }
	var reply pb.CreateWebhookReply
	err = a.Client.Checked(r.Context(), bus.SubjectWebhooksCreate, bad, inBody, &pb.CreateWebhookRequest{Ref: string(of), Webhook: spec}, &reply)
	if err != nil {
		return err
	}
	w.Header().Set("Location", strings.TrimSuffix(r.URL.EscapedPath(), "/")+"/"+reply.GetWebhook().GetId())
	return web.JSON(w, http.StatusCreated, reply.GetWebhook())
}

func (a *API) listWebhooks(w http.ResponseWriter, r *http.Request, of instance.ID) error {
	var reply pb.ListWebhooksReply
	if err := a.Client.Request(r.Context(), bus.SubjectWebhooksList, &pb.ListWebhooksRequest{Ref: string(of)}, &reply); err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, &reply)
}

func (a *API) getWebhook(w http.ResponseWriter, r *http.Request, of instance.ID) error {
	var reply pb.ListWebhooksReply
	req := &pb.ListWebhooksRequest{Ref: string(of), WebhookId: r.PathValue("webhookId")}
	if err := a.Client.Request(r.Context(), bus.SubjectWebhooksList, req, &reply); err != nil {
		return err
	}
	if len(reply.GetWebhooks()) != 1 {
		return instance.Problemf(instance.CodeWebhookNotFound, "There is no such webhook here.")
	}
	return web.JSON(w, http.StatusOK, reply.GetWebhooks()[0])
}

// updateWebhook takes the fields of a creation; those that are absent stay.
func (a *API) updateWebhook(w http.ResponseWriter, r *http.Request, of instance.ID) error {
	body, err := web.Body(w, r)
	if err != nil {
		return err
	}
	spec := &pb.WebhookSpec{}
	bad, err := bus.DecodeStrictFields(body, spec)
	if err != nil {
		return err
	}
	req := webhookChange(body, spec)
	req.Ref, req.WebhookId = string(of), r.PathValue("webhookId")
	var reply pb.UpdateWebhookReply
	if err := a.Client.Checked(r.Context(), bus.SubjectWebhooksUpdate, bad, asInCreation, req, &reply); err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, reply.GetWebhook())
}

// webhookChange turns the fields that the body has into a change of those alone.
func webhookChange(body []byte, spec *pb.WebhookSpec) *pb.UpdateWebhookRequest {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		members = nil // no object; decoding has found that too
	}
	given := func(name string) bool {
		v, ok := members[name]
		return ok && string(v) != "null"
	}
	req := &pb.UpdateWebhookRequest{Secret: spec.Secret, Enabled: spec.Enabled}
	if given("url") {
		req.Url = &spec.Url
	}
	if given("format") {
		req.Format = &spec.Format
	}
	if given("events") {
		req.Events = &pb.EventKinds{Kinds: spec.GetEvents()}
	}
	if given("headers") {
		req.Headers = &pb.HeaderValues{Values: spec.GetHeaders()}
	}
	if given("formatEvents") {
		req.FormatEvents = &pb.EventKinds{Kinds: spec.GetFormatEvents()}
	}
	if given("formatOptions") {
		req.FormatOptions = &pb.HeaderValues{Values: spec.GetFormatOptions()}
	}
	return req
}

// asInCreation gives the fields of a change the names that they have in a creation.
func asInCreation(field string) string {
	for inChange, name := range map[string]string{"events.kinds": "events", "headers.values": "headers",
		"formatEvents.kinds": "formatEvents", "formatOptions.values": "formatOptions"} {
		if rest, ok := strings.CutPrefix(field, inChange); ok {
			return name + rest
		}
	}
	return field
}

func (a *API) deleteWebhook(w http.ResponseWriter, r *http.Request, of instance.ID) error {
	req := &pb.DeleteWebhookRequest{Ref: string(of), WebhookId: r.PathValue("webhookId")}
	if err := a.Client.Request(r.Context(), bus.SubjectWebhooksDelete, req, nil); err != nil {
		return err
	}
	return web.NoContent(w)
}

// testWebhook has a test event sent to the webhook now, and answers what came of it.
func (a *API) testWebhook(w http.ResponseWriter, r *http.Request, of instance.ID) error {
	ctx, cancel := context.WithTimeout(r.Context(), testTimeout)
	defer cancel()
	var reply pb.TestWebhookReply
	req := &pb.TestWebhookRequest{Ref: string(of), WebhookId: r.PathValue("webhookId")}
	if err := a.Client.Request(ctx, bus.SubjectWebhooksTest, req, &reply); err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, reply.GetAttempt())
}
