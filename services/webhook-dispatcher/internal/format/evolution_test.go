package format_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

// past is what was published before.
type past struct {
	pairing *pb.PairingCode
	qr      *pb.Qr
	account *pb.Account
}

func (p past) PairingCode(context.Context, instance.ID) (*pb.PairingCode, error) {
	return p.pairing, nil
}
func (p past) Picture(context.Context, instance.ID) (*pb.Qr, error) { return p.qr, nil }
func (p past) Account(context.Context, instance.ID, uint64) (*pb.Account, error) {
	return p.account, nil
}

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// at gives an event the time of the reference's samples, as seen from São Paulo.
func at(ev *pb.Event, reason instance.Reason) *pb.Event {
	ev.Time = timestamppb.New(noon.In(time.FixedZone("", -3*3600)))
	if s := ev.GetStatus(); s != nil {
		s.Reason = string(reason)
	}
	return ev
}

func event(kind instance.Kind, body *pb.Event) *pb.Event {
	body.Id, body.Kind, body.Sequence = "e", string(kind), 9
	body.Instance = &pb.InstanceRef{Id: id, Name: "foo", Number: 1101000001, Provider: "whatsapp"}
	return at(body, "")
}

func TestEvolutionBodiesByteForByte(t *testing.T) {
	hook := &pb.Webhook{Id: "h", Url: "https://h/x", Format: "evolution"}
	jid := &pb.Account{Id: "5511@s.whatsapp.net", Phone: "5511", Name: "Bob <&>"}
	envelope := func(name, data, sender string) string {
		if sender != "" {
			sender = `"sender":"` + sender + `",`
		}
		return `{"event":"` + name + `","instance":"foo","data":` + data + `,"destination":"https://h/x","date_time":"2026-01-01T12:00:00.000Z",` +
			sender + `"server_url":"http://localhost:8080","apikey":null}`
	}
	connection := func(state, code string) string {
		return `{"instance":"foo","state":"` + state + `","statusReason":` + code + `}`
	}
	closed := func(code, title, message string) string {
		return `{"instance":"foo","status":"closed","disconnectionAt":"2026-01-01T12:00:00.000Z","disconnectionReasonCode":` + code +
			`,"disconnectionObject":"{\"error\":{\"data\":null,\"isBoom\":true,\"isServer\":false,\"output\":{\"statusCode\":` + code +
			`,\"payload\":{\"statusCode\":` + code + `,\"error\":\"` + title + `\",\"message\":\"` + message + `\"},\"headers\":{}}},\"date\":\"2026-01-01T12:00:00.000Z\"}"}`
	}
	trio := func(code, title, message string) []string {
		const me = "5511@s.whatsapp.net"
		return []string{envelope("status.instance", closed(code, title, message), me), envelope("logout.instance", "null", me),
			envelope("connection.update", connection("close", code), me)}
	}
	linked := func(before, now instance.Phase, was bool, is *pb.Account) *pb.Event {
		ev := change(before, now, was, "")
		ev.GetStatus().Account = is
		return ev
	}
	spec := func() *pb.Event { return &pb.Event{Body: &pb.Event_Spec{Spec: &pb.Instance{Id: id}}} }
	qr := &pb.Qr{Code: "2@a,b,c,d", Image: []byte("PNG"), Attempt: 3, ExpiresAt: timestamppb.New(noon.Add(20 * time.Second))}
	pairing := &pb.PairingCode{Code: "WZYEH1YY", Attempt: 3, ExpiresAt: timestamppb.New(noon.Add(time.Minute))}
	shown := func(pairing string) string {
		return envelope("qrcode.updated", `{"qrcode":{"instance":"foo","pairingCode":`+pairing+`,"code":"2@a,b,c,d","base64":"data:image/png;base64,UE5H"}}`, "")
	}
	for _, c := range []struct {
		name string
		ev   *pb.Event
		past past
		want []string
	}{
		{"Created", event(instance.KindCreated, spec()), past{}, []string{envelope("instance.create", `{"instanceName":"foo","instanceId":"`+id+`"}`, "")}},
		{"Deleted", event(instance.KindDeleted, spec()), past{}, []string{envelope("instance.delete", `{"instanceName":"foo","instanceId":"`+id+`"}`, ""),
			envelope("remove.instance", "null", "")}},
		{"Updated", event(instance.KindUpdated, spec()), past{}, nil},

		{"Connecting", at(change(instance.Idle, instance.Connecting, false, ""), ""), past{}, []string{envelope("connection.update", connection("connecting", "200"), "")}},
		{"Pairing", at(change(instance.Connecting, instance.Pairing, false, ""), ""), past{}, nil},
		{"Scanned", at(change(instance.Pairing, instance.Syncing, false, ""), ""), past{}, []string{envelope("connection.update", connection("connecting", "200"), "")}},
		{"StillSyncing", at(change(instance.Syncing, instance.Syncing, false, ""), ""), past{}, nil},
		{"Open", at(linked(instance.Syncing, instance.Online, false, jid), instance.ReasonLinked), past{}, []string{envelope("connection.update",
			`{"instance":"foo","wuid":"5511@s.whatsapp.net","profileName":"Bob <&>","profilePictureUrl":null,"state":"open","statusReason":200}`, "5511@s.whatsapp.net")}},
		{"Lost", at(linked(instance.Online, instance.Offline, true, jid), instance.ReasonUnreachable), past{},
			[]string{envelope("connection.update", connection("connecting", "200"), "5511@s.whatsapp.net")}},
		{"NewOwner", at(linked(instance.Online, instance.Online, true, jid), ""), past{}, nil},
		{"Restricted", at(linked(instance.Online, instance.Suspended, true, jid), ""), past{}, nil},
		{"LoggedOut", at(linked(instance.Online, instance.Idle, true, nil), instance.ReasonLoggedOutByUser), past{account: jid}, trio("401", "Unauthorized", "logged_out_by_user")},
		{"Unlinked", at(linked(instance.Offline, instance.Idle, true, nil), instance.ReasonLoggedOutOnPhone), past{account: jid}, trio("401", "Unauthorized", "logged_out_on_phone")},
		{"Banned", at(linked(instance.Online, instance.Blocked, true, jid), instance.ReasonBanned), past{}, trio("403", "Forbidden", "banned")},
		{"DeletedWhileOpen", at(linked(instance.Online, instance.Deleted, true, nil), instance.ReasonDeleted), past{account: jid}, trio("401", "Unauthorized", "deleted")},
		{"DeletedWhileIdle", at(change(instance.Idle, instance.Deleted, false, ""), instance.ReasonDeleted), past{}, nil},
		{"WindowEnded", at(change(instance.Pairing, instance.Idle, false, ""), instance.ReasonQRTimeout), past{}, []string{
			envelope("qrcode.updated", `{"message":"QR code limit reached, please login again","statusCode":500}`, ""),
			envelope("connection.update", connection("refused", "428"), "")}},
		{"Outdated", at(change(instance.Connecting, instance.Outdated, false, ""), instance.ReasonClientOutdated), past{},
			[]string{envelope("connection.update", connection("close", "405"), "")}},

		{"Picture", event(instance.KindQR, &pb.Event{Attempt: 3, Body: &pb.Event_Qr{Qr: qr}}), past{}, []string{shown("null")}},
		{"PictureBesideAPairingCode", event(instance.KindQR, &pb.Event{Attempt: 3, Body: &pb.Event_Qr{Qr: qr}}), past{pairing: pairing}, []string{shown(`"WZYEH1YY"`)}},
		{"PictureBesideAnEarlierPairingCode", event(instance.KindQR, &pb.Event{Attempt: 3, Body: &pb.Event_Qr{Qr: qr}}),
			past{pairing: &pb.PairingCode{Code: "OLD", Attempt: 2, ExpiresAt: pairing.ExpiresAt}}, []string{shown("null")}},
		{"PictureBesideAnExpiredPairingCode", event(instance.KindQR, &pb.Event{Attempt: 3, Body: &pb.Event_Qr{Qr: qr}}),
			past{pairing: &pb.PairingCode{Code: "OLD", Attempt: 3, ExpiresAt: timestamppb.New(noon)}}, []string{shown("null")}},
		{"PairingCode", event(instance.KindPairingCode, &pb.Event{Attempt: 3, Body: &pb.Event_PairingCode{PairingCode: pairing}}), past{qr: qr}, []string{shown(`"WZYEH1YY"`)}},
		{"PairingCodeBeforeItsPicture", event(instance.KindPairingCode, &pb.Event{Attempt: 3, Body: &pb.Event_PairingCode{PairingCode: pairing}}), past{}, nil},
		{"PairingCodeOfAnotherWindow", event(instance.KindPairingCode, &pb.Event{Attempt: 4, Body: &pb.Event_PairingCode{PairingCode: &pb.PairingCode{Code: "X", Attempt: 4}}}), past{qr: qr}, nil},
		{"Code", event(instance.KindCode, &pb.Event{Body: &pb.Event_Code{Code: qr}}), past{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := format.Evolution{ServerURL: "http://localhost:8080", Past: c.past}
			if got := bodies(t, f, c.ev, hook); !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// The sample of the reference, with everything in it.
func TestEvolutionShowsTheTokenOnlyWhereItIsExposed(t *testing.T) {
	f := format.Evolution{ServerURL: "http://localhost:8080", Past: past{}, Token: func(context.Context, instance.ID) (string, error) { return "5A79", nil }}
	ev := at(change(instance.Syncing, instance.Online, false, "5511"), "")
	ev.GetStatus().Account.Name = ""
	want := `{"event":"connection.update","instance":"foo","data":{"instance":"foo","wuid":"5511@s.whatsapp.net","profilePictureUrl":null,"state":"open","statusReason":200},` +
		`"destination":"https://h/x","date_time":"2026-01-01T12:00:00.000Z","sender":"5511@s.whatsapp.net","server_url":"http://localhost:8080","apikey":"5A79"}`
	if got := bodies(t, f, ev, &pb.Webhook{Url: "https://h/x"}); !slices.Equal(got, []string{want}) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	f.ServerURL, f.Token = "", nil
	if got := bodies(t, f, ev, &pb.Webhook{}); len(got) != 1 || !strings.HasSuffix(got[0], `"sender":"5511@s.whatsapp.net","apikey":null}`) {
		t.Errorf("%s", got)
	}
}

func TestTheGlobalWebhookNamesTheInstancesOwnAddress(t *testing.T) {
	global := &pb.Webhook{Id: "g", Url: "https://global/y"}
	f := format.Evolution{Past: past{}, Global: "g", Hooks: func(instance.ID) []*pb.EndpointRecord {
		return []*pb.EndpointRecord{{Webhook: &pb.Webhook{Url: "https://n", Enabled: true, Format: "native"}}, {Webhook: &pb.Webhook{Url: "https://off", Format: "evolution"}},
			{Webhook: &pb.Webhook{Url: "https://own/x", Enabled: true, Format: "evolution"}}}
	}}
	ev := at(change(instance.Idle, instance.Connecting, false, ""), "")
	if got := bodies(t, f, ev, global); len(got) != 1 || !strings.Contains(got[0], `"destination":"https://own/x"`) {
		t.Errorf("%s", got)
	}
	f.Hooks = func(instance.ID) []*pb.EndpointRecord { return nil }
	if got := bodies(t, f, ev, global); len(got) != 1 || !strings.Contains(got[0], `"destination":"https://global/y/connection-update"`) {
		t.Errorf("%s", got)
	}
}

func TestEvolutionSubscriptionsAreNamesOfTheEnum(t *testing.T) {
	ev := at(change(instance.Online, instance.Idle, true, ""), instance.ReasonLoggedOutByUser)
	got := bodies(t, format.Evolution{Past: past{}}, ev, &pb.Webhook{FormatEvents: []string{"LOGOUT_INSTANCE", "CALL"}})
	if len(got) != 1 || !strings.HasPrefix(got[0], `{"event":"logout.instance"`) {
		t.Errorf("%s", got)
	}
}

func TestEvolutionRequestsLookLikeItsOwn(t *testing.T) {
	hook := &pb.Webhook{FormatOptions: map[string]string{"byEvents": "true", "base64": "true"}}
	now := time.Unix(1767268800, 0)
	req := sender.Request{URL: "https://h/x/", Header: map[string]string{"jwt_key": "k3y", "authorization": "Basic old", "X-A": "1"}}
	format.Evolution{}.Dress(&req, format.Dressing{Hook: hook, Part: "qrcode.updated", Attempt: 1, Now: now})
	if req.URL != "https://h/x//qrcode-updated" || req.UserAgent == "" || !strings.HasPrefix(req.UserAgent, "axios/1.") {
		t.Errorf("%s as %s", req.URL, req.UserAgent)
	}
	if len(req.Header) != 3 || req.Header["X-A"] != "1" || req.Header["Accept"] != "application/json, text/plain, */*" {
		t.Errorf("%v", req.Header)
	}
	token, ok := strings.CutPrefix(req.Header["Authorization"], "Bearer ")
	parts := strings.Split(token, ".")
	if !ok || len(parts) != 3 {
		t.Fatalf("%q", req.Header["Authorization"])
	}
	mac := hmac.New(sha256.New, []byte("k3y"))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	head, _ := base64.RawURLEncoding.DecodeString(parts[0])
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if string(head) != `{"alg":"HS256","typ":"JWT"}` || string(claims) != `{"iat":1767268800,"exp":1767269400,"app":"evolution","action":"webhook"}` ||
		parts[2] != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
		t.Errorf("%s %s", head, claims)
	}

	req = sender.Request{URL: "https://h/x", Header: map[string]string{"authorization": "Bearer t", "accept": "text/html"}}
	format.Evolution{}.Dress(&req, format.Dressing{Hook: &pb.Webhook{}, Part: "qrcode.updated", Now: now})
	if req.URL != "https://h/x" || len(req.Header) != 2 || req.Header["authorization"] != "Bearer t" || req.Header["accept"] != "text/html" {
		t.Errorf("%s %v", req.URL, req.Header)
	}
}
