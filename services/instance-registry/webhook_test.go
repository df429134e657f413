package registry

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
)

func TestWebhooks(t *testing.T) {
	w := serving(t)
	i := w.made(t, simple("shop")).GetInstance()
	w.made(t, simple("other"))
	w.waitKinds(t, i.GetId(), "created")
	made := must[pb.CreateWebhookReply](t, w, bus.SubjectWebhooksCreate, &pb.CreateWebhookRequest{Ref: "shop",
		Webhook: &pb.WebhookSpec{Url: "http://127.0.0.1:9000/hook", Events: []string{"status", "qr", "status"}, Headers: map[string]string{"X-Key": "value", "Content-Type": "application/json"}}}).GetWebhook()
	if _, ok := instance.DecodeWebhookSecret(made.GetSecret()); !ok || made.GetInstanceId() != i.GetId() || !made.GetEnabled() || made.GetFormat() != "native" ||
		!slices.Equal(made.GetEvents(), []string{"qr", "status"}) || !slices.Equal(made.GetHeaderNames(), []string{"X-Key"}) {
		t.Errorf("%v", made)
	}
	e, err := w.loadEndpoint(t.Context(), made.GetId())
	if err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{}
	if plain, err := w.ring.Open(e.GetSealedHeaders(), seal.ForWebhookHeaders(made.GetId())); err != nil || json.Unmarshal(plain, &headers) != nil || headers["X-Key"] != "value" {
		t.Errorf("headers %v, %v", headers, err)
	}
	if got, err := w.openSecret(e); err != nil || got != made.GetSecret() {
		t.Errorf("the stored secret is another one (%v)", err)
	}

	list := must[pb.ListWebhooksReply](t, w, bus.SubjectWebhooksList, &pb.ListWebhooksRequest{Ref: "shop"}).GetWebhooks()
	if len(list) != 1 || list[0].GetSecret() != "" || list[0].GetId() != made.GetId() {
		t.Errorf("%v", list)
	}
	for _, ref := range []string{"other", ""} {
		if list := must[pb.ListWebhooksReply](t, w, bus.SubjectWebhooksList, &pb.ListWebhooksRequest{Ref: ref}).GetWebhooks(); len(list) != 0 {
			t.Errorf("%q shows %v", ref, list)
		}
		refused(t, w, instance.CodeWebhookNotFound, bus.SubjectWebhooksList, &pb.ListWebhooksRequest{Ref: ref, WebhookId: made.GetId()})
		refused(t, w, instance.CodeWebhookNotFound, bus.SubjectWebhooksUpdate, &pb.UpdateWebhookRequest{Ref: ref, WebhookId: made.GetId(), Enabled: new(false)})
		refused(t, w, instance.CodeWebhookNotFound, bus.SubjectWebhooksDelete, &pb.DeleteWebhookRequest{Ref: ref, WebhookId: made.GetId()})
	}
	refused(t, w, instance.CodeWebhookNotFound, bus.SubjectWebhooksList, &pb.ListWebhooksRequest{Ref: "shop", WebhookId: "a.*"})

	must[pb.DeleteWebhookReply](t, w, bus.SubjectWebhooksDelete, &pb.DeleteWebhookRequest{Ref: "shop", WebhookId: made.GetId()})
	refused(t, w, instance.CodeWebhookNotFound, bus.SubjectWebhooksDelete, &pb.DeleteWebhookRequest{Ref: "shop", WebhookId: made.GetId()})
	all := must[pb.CreateWebhookReply](t, w, bus.SubjectWebhooksCreate, &pb.CreateWebhookRequest{Webhook: &pb.WebhookSpec{Url: "https://example.com/"}}).GetWebhook()
	if list := must[pb.ListWebhooksReply](t, w, bus.SubjectWebhooksList, &pb.ListWebhooksRequest{}).GetWebhooks(); len(list) != 1 || list[0].GetId() != all.GetId() || list[0].GetInstanceId() != "" {
		t.Errorf("%v", list)
	}
}

func TestUpdateWebhook(t *testing.T) {
	w := serving(t)
	made := must[pb.CreateWebhookReply](t, w, bus.SubjectWebhooksCreate, &pb.CreateWebhookRequest{Webhook: &pb.WebhookSpec{Url: "https://example.com/"}}).GetWebhook()
	e, err := w.loadEndpoint(t.Context(), made.GetId())
	if err != nil {
		t.Fatal(err)
	}
	// The dispatcher disables what it has seen, and not what was changed meanwhile.
	gone := &pb.UpdateWebhookRequest{WebhookId: made.GetId(), Enabled: new(false), DisabledReason: "gone", ExpectedRevision: e.revision}
	off := must[pb.UpdateWebhookReply](t, w, bus.SubjectWebhooksUpdate, gone).GetWebhook()
	if off.GetEnabled() || off.GetDisabledReason() != "gone" || off.GetSecret() != "" {
		t.Errorf("%v", off)
	}
	refused(t, w, instance.CodeConflict, bus.SubjectWebhooksUpdate, gone)
	secret := instance.EncodeWebhookSecret([]byte(strings.Repeat("k", 24)))
	on := must[pb.UpdateWebhookReply](t, w, bus.SubjectWebhooksUpdate, &pb.UpdateWebhookRequest{WebhookId: made.GetId(), Enabled: new(true), Url: new("https://example.com/2"),
		Secret: &secret, Events: &pb.EventKinds{Kinds: []string{"qr"}}, Format: new("evolution"), Headers: &pb.HeaderValues{}}).GetWebhook()
	if !on.GetEnabled() || on.GetDisabledReason() != "" || on.GetSecret() != secret || on.GetFormat() != "evolution" || on.GetUrl() != "https://example.com/2" {
		t.Errorf("%v", on)
	}
	if e, err = w.loadEndpoint(t.Context(), made.GetId()); err != nil || len(e.GetSealedSecrets()) != 2 {
		t.Errorf("%d secrets, %v", len(e.GetSealedSecrets()), err)
	}
	p := refused(t, w, instance.CodeInvalidRequest, bus.SubjectWebhooksUpdate, &pb.UpdateWebhookRequest{WebhookId: made.GetId(), Url: new("http://example.com"), Secret: new("x"),
		Events: &pb.EventKinds{Kinds: []string{"x"}}, Format: new("x"), Headers: &pb.HeaderValues{Values: map[string]string{"Host": "x"}}, DisabledReason: "A B"})
	if len(p.Errors) != 7 {
		t.Errorf("%v", p)
	}
}

// The dispatcher says since when an endpoint fails; whoever mends it begins anew.
func TestSinceWhenAWebhookFails(t *testing.T) {
	w := serving(t)
	made := must[pb.CreateWebhookReply](t, w, bus.SubjectWebhooksCreate, &pb.CreateWebhookRequest{Webhook: &pb.WebhookSpec{Url: "https://example.com/"}}).GetWebhook()
	since := timestamppb.New(time.Unix(1700000000, 0))
	say := func(req *pb.UpdateWebhookRequest) *pb.Webhook {
		t.Helper()
		req.WebhookId = made.GetId()
		return must[pb.UpdateWebhookReply](t, w, bus.SubjectWebhooksUpdate, req).GetWebhook()
	}
	got := say(&pb.UpdateWebhookRequest{FailingSince: since})
	if !proto.Equal(got.GetFailingSince(), since) || !proto.Equal(got.GetUpdatedAt(), made.GetUpdatedAt()) {
		t.Errorf("%v", got)
	}
	if got = say(&pb.UpdateWebhookRequest{Events: &pb.EventKinds{Kinds: []string{"qr"}}}); got.GetFailingSince() == nil {
		t.Error("forgotten by a change that mends nothing")
	}
	if got = say(&pb.UpdateWebhookRequest{FailingSince: &timestamppb.Timestamp{}}); got.GetFailingSince() != nil {
		t.Error("it works again")
	}
	for _, mended := range []*pb.UpdateWebhookRequest{{Enabled: new(true)}, {Url: new("https://example.com/2")}} {
		say(&pb.UpdateWebhookRequest{FailingSince: since})
		if got = say(mended); got.GetFailingSince() != nil {
			t.Errorf("%v", got)
		}
	}
}

// An endpoint is owed what is later in the stream than the reply that made it,
// and the creation of its own instance, but nothing from before.
func TestFromSequence(t *testing.T) {
	w := serving(t)
	first := w.made(t, simple("first")).GetInstance()
	w.waitKinds(t, first.GetId(), "created")
	w.says(t, first.GetId(), instance.Status{Phase: instance.Idle, Reason: instance.ReasonCreated})
	before, err := w.lastEvent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req := simple("second")
	req.Webhooks = []*pb.WebhookSpec{{Url: "https://example.com/"}}
	second := w.made(t, req)
	e, err := w.loadEndpoint(t.Context(), second.GetWebhooks()[0].GetId())
	if err != nil || e.GetFromSequence() != before {
		t.Errorf("from %d, want %d (%v)", e.GetFromSequence(), before, err)
	}
	if created := w.waitKinds(t, second.GetInstance().GetId(), "created")[0]; created.GetSequence() <= e.GetFromSequence() {
		t.Error("the creation is not owed")
	}
	// A change leaves what is owed; only what happened while it was disabled is not.
	change := &pb.UpdateWebhookRequest{Ref: "second", WebhookId: e.id(), Url: new("https://example.com/2")}
	must[pb.UpdateWebhookReply](t, w, bus.SubjectWebhooksUpdate, change)
	if e, err = w.loadEndpoint(t.Context(), e.id()); err != nil || e.GetFromSequence() != before {
		t.Errorf("from %d, want %d (%v)", e.GetFromSequence(), before, err)
	}
	must[pb.UpdateWebhookReply](t, w, bus.SubjectWebhooksUpdate, &pb.UpdateWebhookRequest{Ref: "second", WebhookId: e.id(), Enabled: new(false)})
	must[pb.UpdateWebhookReply](t, w, bus.SubjectWebhooksUpdate, &pb.UpdateWebhookRequest{Ref: "second", WebhookId: e.id(), Enabled: new(true)})
	now, err := w.lastEvent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e, err = w.loadEndpoint(t.Context(), e.id()); err != nil || e.GetFromSequence() != now {
		t.Errorf("from %d, want %d (%v)", e.GetFromSequence(), now, err)
	}
}
