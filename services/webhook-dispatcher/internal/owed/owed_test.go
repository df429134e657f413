package owed_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
)

const (
	hook = "3f2c6f0e-7f1a-4b7e-9c0e-0c2d4f1f7a11"
	in   = "01890a5d-ac96-774b-bcce-b302099a8057"
)

func TestDeliveryIDIsStable(t *testing.T) {
	// What is owed under an id by one version is found under it by the next.
	if a := owed.ID("event", "hook", ""); a != "26e64972-d1e4-5c3e-8eda-caaeca4ddf47" {
		t.Fatal(a)
	}
	seen := map[string]bool{}
	for _, id := range []string{owed.ID("event", "hook", ""), owed.ID("event", "other", ""), owed.ID("other", "hook", ""),
		owed.ID("event", "hook", "logout.instance"), owed.ID("event", "hook", "connection.update")} {
		if seen[id] {
			t.Errorf("%s stands for two deliveries", id)
		}
		seen[id] = true
	}
}

func TestEncodeAndDecode(t *testing.T) {
	o := &pb.OwedDelivery{Id: owed.ID("e", hook, ""), WebhookId: hook, InstanceId: in, EventId: "e", Kind: "status", Sequence: 7, Body: []byte("{}")}
	m, err := owed.Encode(o, "00-trace")
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != bus.LaneSubject(hook, in) || m.Header.Get(nats.MsgIdHdr) != o.Id || m.Header.Get(owed.HeaderTrace) != "00-trace" {
		t.Fatalf("%+v", m)
	}
	got, err := owed.Decode(m.Subject, m.Data)
	if err != nil || !proto.Equal(got, o) {
		t.Fatalf("%v, %v", got, err)
	}
	for _, subject := range []string{bus.LaneSubject("other", in), "pairgate.v1.roles.x", ""} {
		if _, err := owed.Decode(subject, m.Data); !errors.Is(err, owed.ErrUnreadable) {
			t.Errorf("%q: %v", subject, err)
		}
	}
}

func TestAMessageIDNamesItsSeries(t *testing.T) {
	for text, want := range map[string]struct {
		id     string
		series uint64
		ok     bool
	}{"a": {"a", 0, true}, "a/7": {"a", 7, true}, "": {}, "/7": {}, "a/": {}, "a/0": {}, "a/x": {}, "a/7/8": {}} {
		id, series, ok := owed.ParseMessageID(text)
		if ok != want.ok || ok && (id != want.id || series != want.series) {
			t.Errorf("%q: %q, %d, %t", text, id, series, ok)
		}
	}
	m, err := owed.Encode(&pb.OwedDelivery{Id: "d", WebhookId: hook, InstanceId: in, Sequence: 5, Series: 9}, "")
	if err != nil {
		t.Fatal(err)
	}
	if id, series, ok := owed.ParseMessageID(m.Header.Get(nats.MsgIdHdr)); !ok || id != "d" || series != 9 || m.Header.Get(owed.HeaderSequence) != "5" {
		t.Fatalf("%v", m.Header)
	}
}

func FuzzDecode(f *testing.F) {
	good, err := proto.Marshal(&pb.OwedDelivery{Id: "x", WebhookId: hook, InstanceId: in})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bus.LaneSubject(hook, in), good)
	f.Add("pairgate.v1.deliveries.000.a.b", []byte{0xff})
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		o, err := owed.Decode(subject, data)
		if err == nil && (o.GetId() == "" || o.GetWebhookId() == "") {
			t.Fatalf("%v", o)
		}
	})
}
