package greenapi

import (
	"context"
	"slices"
	"strings"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

const (
	// headerToken carries webhookUrlToken.
	headerToken = "Authorization"
	schemeToken = "Bearer "
	// noURL stands in a webhook that only keeps a token, because its webhookUrl is
	// empty. The name can never be resolved, and the webhook is disabled.
	noURL = "https://webhook-url.invalid/"
	// tokenAsGiven is the name of our own entry among the settings' values: the token
	// began with its scheme already.
	tokenAsGiven = "webhookUrlTokenAsGiven"
)

// hookOf returns the webhook that webhookUrl stands for, as the registry has it; nil for none.
func (a *API) hookOf(ctx context.Context, id instance.ID) (*pb.Webhook, error) {
	var reply pb.ListWebhooksReply
	if err := a.Client.Request(ctx, bus.SubjectWebhooksList, &pb.ListWebhooksRequest{Ref: string(id)}, &reply); err != nil {
		return nil, err
	}
	return pickHook(reply.GetWebhooks()), nil
}

// pickHook returns the first webhook of the format, one that is enabled if there is.
func pickHook(of []*pb.Webhook) *pb.Webhook {
	var found *pb.Webhook
	for _, hook := range of {
		if hook.GetFormat() == string(instance.FormatGreenAPI) && (found == nil || hook.GetEnabled() && !found.GetEnabled()) {
			found = hook
		}
	}
	return found
}

// pushes says whether webhookUrl is set, as the view knows it.
func (a *API) pushes(id instance.ID) (*pb.Webhook, bool) {
	records := a.Client.Views().Endpoints.ByInstance(id)
	hooks := make([]*pb.Webhook, len(records))
	for i, rec := range records {
		hooks[i] = rec.GetWebhook()
	}
	hook := pickHook(hooks)
	return hook, urlOf(hook) != ""
}

// urlOf is the webhookUrl that the webhook stands for.
func urlOf(hook *pb.Webhook) string {
	if hook.GetUrl() == noURL {
		return ""
	}
	return hook.GetUrl()
}

// shownHook returns webhookUrl and webhookUrlToken as they were set.
func (a *API) shownHook(ctx context.Context, hook *pb.Webhook, settings *pb.GreenApiSettings) (url, token string, err error) {
	if hook == nil || !slices.Contains(hook.GetHeaderNames(), headerToken) {
		return urlOf(hook), "", nil
	}
	headers, err := a.headersOf(ctx, hook)
	token = headers[headerToken]
	if settings.GetValues()[tokenAsGiven] == "" {
		token = strings.TrimPrefix(token, schemeToken)
	}
	return urlOf(hook), token, err
}

func (a *API) headersOf(ctx context.Context, hook *pb.Webhook) (map[string]string, error) {
	var reply pb.RevealReply
	req := &pb.RevealRequest{InstanceIds: []string{hook.GetInstanceId()}}
	if err := a.Client.Request(ctx, bus.SubjectInstancesReveal, req, &reply); err != nil {
		return nil, err
	}
	for _, secrets := range reply.GetSecrets() {
		for _, one := range secrets.GetWebhooks() {
			if one.GetWebhookId() == hook.GetId() {
				return one.GetHeaders(), nil
			}
		}
	}
	return nil, nil // deleted meanwhile
}

// headersFor returns the headers of a token, and notes among the settings how it was given.
func headersFor(token string, settings *pb.GreenApiSettings) map[string]string {
	delete(settings.Values, tokenAsGiven)
	switch {
	case token == "":
		return map[string]string{}
	case strings.HasPrefix(token, schemeToken) || strings.HasPrefix(token, "Basic "):
		settings.Values[tokenAsGiven] = "true"
		return map[string]string{headerToken: token}
	}
	return map[string]string{headerToken: schemeToken + token}
}

// changeHook brings the webhook in line with the settings after a change. bad are
// the fields that were found wrong before: with any, nothing is changed, and the
// error names them together with what the registry finds wrong.
func (a *API) changeHook(ctx context.Context, id instance.ID, change settingsChange, settings *pb.GreenApiSettings, bad instance.FieldErrors) error {
	hook, err := a.hookOf(ctx, id)
	if err != nil {
		return err
	}
	url, hasToken := urlOf(hook), slices.Contains(hook.GetHeaderNames(), headerToken)
	if change.url != nil {
		url = *change.url
	}
	if change.token != nil {
		hasToken = *change.token != ""
	}
	switch {
	case url == "" && !hasToken && len(bad) > 0:
		return bad.Err()
	case url == "" && !hasToken && hook == nil:
		return nil
	case url == "" && !hasToken:
		return a.removeHook(ctx, hook)
	case hook == nil:
		return a.makeHook(ctx, id, newHook(url, change.token, settings), bad)
	}
	return a.updateHook(ctx, hook, url, change, settings, bad)
}

// newHook is the webhook of these settings.
func newHook(url string, token *string, settings *pb.GreenApiSettings) *pb.WebhookSpec {
	wanted := dialect.GreenWanted(settings.GetFlags())
	spec := &pb.WebhookSpec{Url: url, Format: string(instance.FormatGreenAPI), FormatEvents: wanted, Enabled: new(url != "" && len(wanted) > 0)}
	if url == "" {
		spec.Url = noURL
	}
	if token != nil {
		spec.Headers = headersFor(*token, settings)
	}
	return spec
}

func (a *API) makeHook(ctx context.Context, id instance.ID, spec *pb.WebhookSpec, bad instance.FieldErrors) error {
	var reply pb.CreateWebhookReply
	req := &pb.CreateWebhookRequest{Ref: string(id), Webhook: spec}
	if err := a.Client.Checked(ctx, bus.SubjectWebhooksCreate, bad, asSettings, req, &reply); err != nil {
		return err
	}
	a.Client.SeeEndpoint(ctx, id, func(all []*pb.EndpointRecord) bool { return hasHook(all, reply.GetWebhook()) })
	return nil
}

func (a *API) updateHook(ctx context.Context, hook *pb.Webhook, url string, change settingsChange, settings *pb.GreenApiSettings, bad instance.FieldErrors) error {
	spec := newHook(url, change.token, settings)
	if len(bad) == 0 && change.token == nil && spec.GetUrl() == hook.GetUrl() && spec.GetEnabled() == hook.GetEnabled() &&
		slices.Equal(spec.GetFormatEvents(), hook.GetFormatEvents()) {
		return nil
	}
	req := &pb.UpdateWebhookRequest{Ref: hook.GetInstanceId(), WebhookId: hook.GetId(), Url: &spec.Url, Enabled: spec.Enabled,
		FormatEvents: &pb.EventKinds{Kinds: spec.GetFormatEvents()}}
	if change.token != nil {
		req.Headers = &pb.HeaderValues{Values: spec.GetHeaders()}
	}
	var reply pb.UpdateWebhookReply
	if err := a.Client.Checked(ctx, bus.SubjectWebhooksUpdate, bad, asSettings, req, &reply); err != nil {
		return err
	}
	a.Client.SeeEndpoint(ctx, instance.ID(hook.GetInstanceId()), func(all []*pb.EndpointRecord) bool { return hasHook(all, reply.GetWebhook()) })
	return nil
}

func (a *API) removeHook(ctx context.Context, hook *pb.Webhook) error {
	req := &pb.DeleteWebhookRequest{Ref: hook.GetInstanceId(), WebhookId: hook.GetId()}
	if err := a.Client.Request(ctx, bus.SubjectWebhooksDelete, req, nil); err != nil {
		return err
	}
	a.Client.SeeEndpoint(ctx, instance.ID(hook.GetInstanceId()), func(all []*pb.EndpointRecord) bool {
		return !slices.ContainsFunc(all, func(rec *pb.EndpointRecord) bool { return rec.GetWebhook().GetId() == hook.GetId() })
	})
	return nil
}

// hasHook says whether the webhook is there as it is in a reply, or newer.
func hasHook(all []*pb.EndpointRecord, hook *pb.Webhook) bool {
	return slices.ContainsFunc(all, func(rec *pb.EndpointRecord) bool {
		return rec.GetWebhook().GetId() == hook.GetId() && !rec.GetWebhook().GetUpdatedAt().AsTime().Before(hook.GetUpdatedAt().AsTime())
	})
}

// asSettings gives the registry's paths the names that these clients know.
func asSettings(field string) string {
	switch {
	case strings.HasSuffix(field, "url"):
		return "webhookUrl"
	case strings.Contains(field, "headers"):
		return "webhookUrlToken"
	}
	return field
}
