package registry

import (
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// webhookSpec is a webhook in the form in which it is stored.
type webhookSpec struct {
	url     string
	secret  string // empty: to be made
	events  []string
	format  instance.Format
	headers map[string]string
	enabled bool
	words   formatWords
}

func (r rules) webhook(f *instance.FieldErrors, prefix string, w *pb.WebhookSpec) webhookSpec {
	at := func(field string) string { return instance.Path(prefix, field) }
	instance.CheckWebhookURL(f, at("url"), w.GetUrl(), r.networks)
	if w.Secret != nil {
		instance.CheckWebhookSecret(f, at("secret"), w.GetSecret())
	}
	format := instance.CheckFormat(f, at("format"), w.GetFormat())
	return webhookSpec{
		url:     w.GetUrl(),
		secret:  w.GetSecret(),
		events:  instance.CheckEventKinds(f, at("events"), w.GetEvents()),
		format:  format,
		words:   checkWords(f, at("formatEvents"), at("formatOptions"), format, w.GetFormatEvents(), w.GetFormatOptions()),
		headers: instance.CheckHeaders(f, at("headers"), w.GetHeaders()),
		enabled: w.Enabled == nil || w.GetEnabled(),
	}
}

func (r rules) createWebhook(f *instance.FieldErrors, req *pb.CreateWebhookRequest) webhookSpec {
	if req.GetWebhook() == nil {
		f.Add("webhook", "is required")
		return webhookSpec{}
	}
	return r.webhook(f, "webhook", req.GetWebhook())
}

// webhookChange is an update of a webhook in the form in which it is stored; nil stays.
type webhookChange struct {
	url, secret *string
	events      *[]string
	format      *instance.Format
	headers     *map[string]string
	enabled     *bool
	disabled    string
	// failing is what the dispatcher says of the endpoint; nil stays, its zero clears.
	failing *timestamppb.Timestamp
	// names and options are checked against the format that the webhook will have.
	names   *pb.EventKinds
	options *pb.HeaderValues
}

func (r rules) updateWebhook(f *instance.FieldErrors, req *pb.UpdateWebhookRequest) webhookChange {
	checkWebhookID(f, req.GetWebhookId())
	var c webhookChange
	if req.Url != nil {
		instance.CheckWebhookURL(f, "url", req.GetUrl(), r.networks)
		c.url = req.Url
	}
	if req.Secret != nil {
		instance.CheckWebhookSecret(f, "secret", req.GetSecret())
		c.secret = req.Secret
	}
	if req.GetEvents() != nil {
		c.events = new(instance.CheckEventKinds(f, "events.kinds", req.GetEvents().GetKinds()))
	}
	if req.Format != nil {
		c.format = new(instance.CheckFormat(f, "format", req.GetFormat()))
	}
	if req.GetHeaders() != nil {
		c.headers = new(instance.CheckHeaders(f, "headers.values", req.GetHeaders().GetValues()))
	}
	c.enabled, c.disabled, c.failing = req.Enabled, req.GetDisabledReason(), req.GetFailingSince()
	c.names, c.options = req.GetFormatEvents(), req.GetFormatOptions()
	if c.format != nil {
		checkWords(f, fieldNames, fieldOptions, *c.format, c.names.GetKinds(), c.options.GetValues())
	}
	checkDisabledReason(f, req)
	return c
}

// checkDisabledReason: a reason is a word such as "gone", and belongs to a disabling.
func checkDisabledReason(f *instance.FieldErrors, req *pb.UpdateWebhookRequest) {
	const longest = 64
	reason := req.GetDisabledReason()
	if reason == "" {
		return
	}
	if len(reason) > longest || strings.Trim(reason, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		f.Add("disabledReason", "must be a lower-snake word of at most %d letters", longest)
	}
	if req.Enabled == nil || req.GetEnabled() {
		f.Add("disabledReason", "goes with enabled: false only")
	}
}

func checkWebhookID(f *instance.FieldErrors, id string) {
	if id == "" {
		f.Add("webhookId", "is required")
	}
}
