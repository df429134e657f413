package registry

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

func TestRevealShowsWhatImitatedProductsShowAgain(t *testing.T) {
	w := serving(t)
	req := simple("shop")
	req.Provider, req.Label, req.Token = "whatsapp", "My shop", "a-token-of-my-own"
	req.Proxy = &pb.Proxy{Protocol: "http", Host: "proxy.example", Port: 3128, Username: "u", Password: "proxy-word"}
	req.Webhooks = []*pb.WebhookSpec{
		{Url: "https://example.com/a", Headers: map[string]string{"X-Key": "native"}},
		{Url: "https://example.com/b", Format: "evolution", Headers: map[string]string{"jwt_key": "k", "authorization": "Bearer t"}},
		{Url: "https://example.com/c", Format: "green-api"},
	}
	shop := w.made(t, req)
	other := w.made(t, simple("other"))
	gone := w.made(t, simple("gone")).GetInstance().GetId()
	must[pb.DeleteInstanceReply](t, w, bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: "gone"})

	ids := []string{other.GetInstance().GetId(), gone, shop.GetInstance().GetId(), string(newID()), shop.GetInstance().GetId()}
	got := must[pb.RevealReply](t, w, bus.SubjectInstancesReveal, &pb.RevealRequest{InstanceIds: ids}).GetSecrets()
	want := []*pb.InstanceSecrets{
		{InstanceId: shop.GetInstance().GetId(), Token: "a-token-of-my-own", ProxyPassword: "proxy-word", Label: "My shop", Webhooks: []*pb.WebhookHeaders{
			{WebhookId: shop.GetWebhooks()[1].GetId(), Headers: map[string]string{"jwt_key": "k", "authorization": "Bearer t"}},
			{WebhookId: shop.GetWebhooks()[2].GetId()}}},
		{InstanceId: other.GetInstance().GetId(), Token: other.GetToken()},
	}
	if len(got) != len(want) {
		t.Fatalf("%d instances", len(got))
	}
	for i := range want {
		slices.SortFunc(got[i].GetWebhooks(), func(a, b *pb.WebhookHeaders) int { return strings.Compare(a.GetWebhookId(), b.GetWebhookId()) })
		if !proto.Equal(got[i], want[i]) {
			t.Errorf("instance %d is shown otherwise than it was made", i)
		}
	}
	// A new token is shown at once.
	token := must[pb.RotateTokenReply](t, w, bus.SubjectInstancesRotateToken, &pb.RotateTokenRequest{Ref: "other"}).GetToken()
	if got := must[pb.RevealReply](t, w, bus.SubjectInstancesReveal, &pb.RevealRequest{InstanceIds: ids[:1]}).GetSecrets(); len(got) != 1 || got[0].GetToken() != token {
		t.Error("the token before is shown")
	}
	refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesReveal, &pb.RevealRequest{InstanceIds: []string{"shop"}})
	refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesReveal, &pb.RevealRequest{InstanceIds: slices.Repeat(ids[:1], maxRevealed+1)})
}

// The settings of one product are replaced by an update that gives them, and survive
// every other.
func TestSettingsOfImitatedProductsStayApart(t *testing.T) {
	w := serving(t)
	req := simple("shop")
	req.Settings = &pb.InstanceSettings{DeviceName: "Desk", Evolution: &pb.EvolutionSettings{Flags: []string{"readStatus", "alwaysOnline", "readStatus"},
		Values: map[string]string{"msgCall": "call\nlater"}, Integration: "WHATSAPP-BAILEYS", Number: "5511999999999"}}
	w.made(t, req)
	update := func(s *pb.InstanceSettings) *pb.InstanceSettings {
		t.Helper()
		return must[pb.UpdateInstanceReply](t, w, bus.SubjectInstancesUpdate, &pb.UpdateInstanceRequest{Ref: "shop", Settings: s}).GetInstance().GetSettings()
	}
	evolution := &pb.EvolutionSettings{Flags: []string{"alwaysOnline", "readStatus"}, Values: map[string]string{"msgCall": "call\nlater"},
		Integration: "WHATSAPP-BAILEYS", Number: "5511999999999"}
	green := &pb.GreenApiSettings{Flags: []string{"stateWebhook"}, Values: map[string]string{"delaySendMessagesMilliseconds": "500"}}
	got := update(&pb.InstanceSettings{GreenApi: green})
	if want := (&pb.InstanceSettings{DeviceName: "Desk", Evolution: evolution, GreenApi: green}); !proto.Equal(got, want) {
		t.Errorf("after a change of one product's: %v", got)
	}
	got = update(&pb.InstanceSettings{Qr: &pb.QrStyle{Level: "H"}})
	if want := (&pb.InstanceSettings{Qr: &pb.QrStyle{Level: "H"}, Evolution: evolution, GreenApi: green}); !proto.Equal(got, want) {
		t.Errorf("after a native change: %v", got)
	}
	got = update(&pb.InstanceSettings{Evolution: &pb.EvolutionSettings{}})
	if want := (&pb.InstanceSettings{Qr: &pb.QrStyle{Level: "H"}, Evolution: &pb.EvolutionSettings{}, GreenApi: green}); !proto.Equal(got, want) {
		t.Errorf("after a replacement by nothing: %v", got)
	}
	long := strings.Repeat("x", maxDialectValue+1)
	p := refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesUpdate, &pb.UpdateInstanceRequest{Ref: "shop", Settings: &pb.InstanceSettings{
		GreenApi:  &pb.GreenApiSettings{Flags: []string{"stateWebhook", "a b"}, Values: map[string]string{"autoTyping": long, "": "x"}},
		Evolution: &pb.EvolutionSettings{Flags: slices.Repeat([]string{"x"}, maxDialectEntries+1), Integration: "\x01", Number: strings.Repeat("5", maxDialectText+1)}}})
	var fields []string
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
	}
	if want := []string{"settings.greenApi.flags[1]", "settings.greenApi.values", "settings.greenApi.values.autoTyping", "settings.evolution.flags",
		"settings.evolution.integration", "settings.evolution.number"}; !slices.Equal(fields, want) {
		t.Errorf("%q are named", fields)
	}
}

func TestWhatAWebhookWantsInTheWordsOfItsFormat(t *testing.T) {
	w := serving(t)
	made := must[pb.CreateWebhookReply](t, w, bus.SubjectWebhooksCreate, &pb.CreateWebhookRequest{Webhook: &pb.WebhookSpec{Url: "https://example.com/", Format: "evolution",
		FormatEvents: []string{"QRCODE_UPDATED", "CONNECTION_UPDATE", "QRCODE_UPDATED"}, FormatOptions: map[string]string{"byEvents": "true"}}}).GetWebhook()
	if !slices.Equal(made.GetFormatEvents(), []string{"QRCODE_UPDATED", "CONNECTION_UPDATE"}) || made.GetFormatOptions()["byEvents"] != "true" {
		t.Errorf("%v", made)
	}
	change := func(req *pb.UpdateWebhookRequest) *pb.Webhook {
		t.Helper()
		req.WebhookId = made.GetId()
		return must[pb.UpdateWebhookReply](t, w, bus.SubjectWebhooksUpdate, req).GetWebhook()
	}
	got := change(&pb.UpdateWebhookRequest{FormatEvents: &pb.EventKinds{}, Url: new("https://example.com/2")})
	if len(got.GetFormatEvents()) != 0 || got.GetFormatOptions()["byEvents"] != "true" {
		t.Errorf("%v", got)
	}
	got = change(&pb.UpdateWebhookRequest{Format: new("green-api"), FormatEvents: &pb.EventKinds{Kinds: []string{"stateInstanceChanged"}}})
	if !slices.Equal(got.GetFormatEvents(), []string{"stateInstanceChanged"}) || len(got.GetFormatOptions()) != 0 {
		t.Errorf("the options of another format are left: %v", got)
	}
	fields := func(p *instance.Problem) (out []string) {
		for _, e := range p.Errors {
			out = append(out, e.Field)
		}
		return out
	}
	// Checked against the format that it has.
	p := refused(t, w, instance.CodeInvalidRequest, bus.SubjectWebhooksUpdate, &pb.UpdateWebhookRequest{WebhookId: made.GetId(),
		FormatEvents: &pb.EventKinds{Kinds: []string{"QRCODE_UPDATED"}}, FormatOptions: &pb.HeaderValues{Values: map[string]string{"byEvents": "true"}}})
	if got := fields(p); !slices.Equal(got, []string{"formatEvents.kinds[0]", "formatOptions.values"}) {
		t.Errorf("%q", got)
	}
	p = refused(t, w, instance.CodeInvalidRequest, bus.SubjectWebhooksCreate, &pb.CreateWebhookRequest{Webhook: &pb.WebhookSpec{Url: "https://example.com/", Format: "evolution",
		FormatEvents: []string{"NEW_TOKEN", "CALL"}, FormatOptions: map[string]string{"base64": "yes", "other": "true"}}})
	if got := fields(p); !slices.Equal(got, []string{"webhook.formatEvents[0]", "webhook.formatOptions.base64", "webhook.formatOptions"}) {
		t.Errorf("%q", got)
	}
	p = refused(t, w, instance.CodeInvalidRequest, bus.SubjectWebhooksCreate, &pb.CreateWebhookRequest{Webhook: &pb.WebhookSpec{Url: "https://example.com/",
		FormatEvents: []string{"stateInstanceChanged"}}})
	if got := fields(p); !slices.Equal(got, []string{"webhook.formatEvents"}) {
		t.Errorf("%q", got)
	}
}
