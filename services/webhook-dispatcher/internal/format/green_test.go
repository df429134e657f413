package format_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/policy"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

const id = "01890a5d-ac96-774b-bcce-b302099a8057"

// change is the status of an instance that was in one phase and is in another now,
// linked where a phone is given.
func change(before, now instance.Phase, linkedBefore bool, phone string) *pb.Event {
	s := &pb.Status{Phase: string(now), PreviousPhase: string(before), PreviouslyLinked: linkedBefore}
	if phone != "" {
		s.Account = &pb.Account{Id: phone + "@s.whatsapp.net", Phone: phone, Name: "Bob <&>"}
	}
	return &pb.Event{Id: "e", Kind: "status", Sequence: 9, Time: timestamppb.New(time.Unix(1705902314, 987_000_000)),
		Instance: &pb.InstanceRef{Id: id, Name: "foo", Number: 1101000001, Provider: "whatsapp"}, Body: &pb.Event_Status{Status: s}}
}

func bodies(t *testing.T, f format.Format, ev *pb.Event, hook *pb.Webhook) (out []string) {
	t.Helper()
	parts, err := f.Parts(t.Context(), ev)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if !p.WantedBy(hook) {
			continue
		}
		body, err := p.Body(hook)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(body))
	}
	return out
}

func TestGreenBodiesByteForByte(t *testing.T) {
	state := func(wid, typ, word string) string {
		return `{"typeWebhook":"stateInstanceChanged","instanceData":{"idInstance":1101000001,"wid":"` + wid + `","typeInstance":"` + typ +
			`"},"timestamp":1705902314,"stateInstance":"` + word + `"}`
	}
	// The samples of GREEN-API's own documentation.
	linked := change(instance.Syncing, instance.Online, false, "71231234567")
	if got, want := bodies(t, format.GreenAPI{}, linked, &pb.Webhook{FormatEvents: []string{"stateInstanceChanged"}}),
		[]string{`{"typeWebhook":"stateInstanceChanged","instanceData":{"idInstance":1101000001,"wid":"71231234567@c.us","typeInstance":"whatsapp"},"timestamp":1705902314,"stateInstance":"authorized"}`}; !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	back := change(instance.Offline, instance.Online, true, "11001234567")
	back.Instance.Number, back.Time = 1, timestamppb.New(time.Unix(1586700690, 0))
	if got, want := bodies(t, format.GreenAPI{}, back, &pb.Webhook{}),
		[]string{`{"typeWebhook":"statusInstanceChanged","instanceData":{"idInstance":1,"wid":"11001234567@c.us","typeInstance":"whatsapp"},"timestamp":1586700690,"statusInstance":"online"}`}; !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	// Only real changes, in the words of the product.
	only := &pb.Webhook{FormatEvents: []string{"stateInstanceChanged"}}
	const phone = "71231234567"
	for _, c := range []struct {
		name string
		ev   *pb.Event
		want []string
	}{
		{"FirstStatusOfANewInstance", change("", instance.Idle, false, ""), nil},
		{"WindowOpens", change(instance.Idle, instance.Connecting, false, ""), nil},
		{"CodesAreShown", change(instance.Connecting, instance.Pairing, false, ""), nil},
		{"Passkey", change(instance.Pairing, instance.PasskeyRequired, false, ""), nil},
		{"WindowEnds", change(instance.Pairing, instance.Idle, false, ""), nil},
		{"Scanned", change(instance.Pairing, instance.Syncing, false, ""), []string{state("", "whatsapp", "starting")}},
		{"ScannedButNotLinked", change(instance.Syncing, instance.Idle, false, ""), []string{state("", "whatsapp", "notAuthorized")}},
		{"ConnectionLost", change(instance.Online, instance.Offline, true, phone), nil},
		{"ConnectionBack", change(instance.Offline, instance.Online, true, phone), nil},
		{"NewOwner", change(instance.Online, instance.Online, true, phone), nil},
		{"Outdated", change(instance.Online, instance.Outdated, true, phone), nil},
		{"OutdatedUnlinked", change(instance.Pairing, instance.Outdated, false, ""), nil},
		{"Restricted", change(instance.Online, instance.Suspended, true, phone), []string{state(phone+"@c.us", "whatsapp", "suspended")}},
		{"Banned", change(instance.Online, instance.Blocked, true, phone), []string{state("", "whatsapp", "blocked")}},
		{"AfterTheBan", change(instance.Blocked, instance.Idle, true, ""), []string{state("", "whatsapp", "notAuthorized")}},
		{"LoggedOut", change(instance.Online, instance.Idle, true, ""), []string{state("", "whatsapp", "notAuthorized")}},
		{"Deleted", change(instance.Online, instance.Deleted, true, ""), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := bodies(t, format.GreenAPI{}, c.ev, only); !slices.Equal(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}

	// MAX has a password, another type, and no statusInstanceChanged.
	password := change(instance.Pairing, instance.PasswordRequired, false, "")
	online := change(instance.Syncing, instance.Online, false, phone)
	for _, ev := range []*pb.Event{password, online} {
		ev.Instance.Provider = "max"
	}
	if got := bodies(t, format.GreenAPI{}, password, &pb.Webhook{}); !slices.Equal(got, []string{state("", "v3", "pendingPassword")}) {
		t.Error(got)
	}
	if got := bodies(t, format.GreenAPI{}, online, &pb.Webhook{}); !slices.Equal(got, []string{state(phone+"@c.us", "v3", "authorized")}) {
		t.Error(got)
	}

	// Ready is told of once, at the creation; what has no word in GREEN-API never.
	made := change("", "", false, "")
	made.Kind, made.Body = "created", &pb.Event_Spec{Spec: &pb.Instance{Id: id}}
	if got := bodies(t, format.GreenAPI{}, made, &pb.Webhook{}); !slices.Equal(got, []string{state("", "whatsapp", "notAuthorized")}) {
		t.Error(got)
	}
	for _, kind := range []string{"updated", "deleted", "code", "qr", "pairing-code", "passkey"} {
		made.Kind = kind
		if got := bodies(t, format.GreenAPI{}, made, &pb.Webhook{}); len(got) != 0 {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

func TestBothChangesOfOneStatusAreParts(t *testing.T) {
	parts, err := format.GreenAPI{}.Parts(t.Context(), change(instance.Syncing, instance.Online, false, "7"))
	if err != nil || len(parts) != 2 || parts[0].Name != "stateInstanceChanged" || parts[1].Name != "statusInstanceChanged" ||
		parts[0].MediaType != "application/json; charset=utf-8" || parts[0].Expires != nil {
		t.Errorf("%+v, %v", parts, err)
	}
}

func TestGreenHeadersSayWhichNotificationAndHowOften(t *testing.T) {
	req := sender.Request{ID: "the-delivery", URL: "https://example.com/x", Header: map[string]string{"Authorization": "Bearer t", "x-notification-id": "mine"}}
	format.GreenAPI{}.Dress(&req, format.Dressing{Hook: &pb.Webhook{}, Part: "stateInstanceChanged", Attempt: 3})
	want := map[string]string{"Authorization": "Bearer t", "X-Notification-Id": "the-delivery", "X-Delivery-Attempt": "3"}
	if len(req.Header) != len(want) {
		t.Errorf("%v", req.Header)
	}
	for name, value := range want {
		if req.Header[name] != value {
			t.Errorf("%s: %q", name, req.Header[name])
		}
	}
	if p := (format.GreenAPI{Delivery: policy.GreenAPI()}).Policy(); p.Success != 200 {
		t.Error("another policy")
	}
}
