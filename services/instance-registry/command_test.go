package registry

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// Every command gets a number of its own, however many are given at once.
func TestRequestsAreCounted(t *testing.T) {
	w := serving(t)
	w.made(t, simple("shop"))
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	for n := range 60 {
		wg.Go(func() {
			commands := map[string]proto.Message{bus.SubjectInstancesConnect: &pb.ConnectRequest{Ref: "shop"},
				bus.SubjectInstancesLogout: &pb.LogoutRequest{Ref: "shop"}, bus.SubjectInstancesRestart: &pb.RestartRequest{Ref: "shop"}}
			subject := slices.Sorted(maps.Keys(commands))[n%3]
			rep := &pb.CommandReply{}
			err := bus.Request(t.Context(), w.conn, subject, commands[subject], rep)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("%s: %v", subject, err)
				return
			}
			if n := rep.GetRequest(); seen[n] || n < 1 || n > 60 || rep.GetRevision() == 0 || rep.GetStatus().GetPhase() != "idle" {
				t.Errorf("reply %v", rep)
			}
			seen[rep.GetRequest()] = true
		})
	}
	wg.Wait()
	rec, err := w.resolve(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	if rec.GetInstance().GetRequest() != 60 || max(rec.GetConnectRequest(), rec.GetLogoutRequest(), rec.GetRestartRequest()) != 60 ||
		rec.GetConnectRequest() == 0 || rec.GetLogoutRequest() == 0 || rec.GetRestartRequest() == 0 || rec.GetInstance().GetSpecVersion() != 1 {
		t.Errorf("record %v", rec.InstanceRecord)
	}
}

func TestConnectByCode(t *testing.T) {
	w := serving(t)
	w.made(t, simple("any"))
	own := simple("own")
	own.Phone = "79001234567"
	w.made(t, own)
	connect := func(ref, method, phone string, window uint32) *pb.PairingWish {
		t.Helper()
		must[pb.CommandReply](t, w, bus.SubjectInstancesConnect, &pb.ConnectRequest{Ref: ref, Method: method, Phone: phone, Window: window})
		rec, err := w.resolve(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		return rec.GetPairing()
	}
	if p := connect("any", "", "", 0); p.GetMethod() != "qr" || p.GetPhone() != "" || p.GetWindow() != 120 || !p.GetRequestedAt().IsValid() {
		t.Errorf("%v", p)
	}
	if p := connect("any", "code", "+7 900 1234568", 45); p.GetMethod() != "code" || p.GetPhone() != "79001234568" || p.GetWindow() != 45 {
		t.Errorf("%v", p)
	}
	if p := connect("own", "code", "", 0); p.GetPhone() != "79001234567" {
		t.Errorf("%v", p)
	}
	for _, bad := range []*pb.ConnectRequest{
		{Ref: "any", Method: "code"}, {Ref: "own", Method: "code", Phone: "79001234568"}, {Ref: "own", Phone: "79001234568"}, {Ref: "any", Method: "code", Phone: "x"},
	} {
		if p := refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesConnect, bad); len(p.Errors) != 1 || p.Errors[0].Field != "phone" {
			t.Errorf("%v", p)
		}
	}
	refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesConnect, &pb.ConnectRequest{Ref: "any", Method: "sms"})
	refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesConnect, &pb.ConnectRequest{})
	refused(t, w, instance.CodeInstanceNotFound, bus.SubjectInstancesLogout, &pb.LogoutRequest{Ref: "nobody"})
}

func TestDelete(t *testing.T) {
	w := serving(t)
	i := w.made(t, simple("shop")).GetInstance()
	first := must[pb.DeleteInstanceReply](t, w, bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: "shop"})
	again := must[pb.DeleteInstanceReply](t, w, bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: i.GetId()})
	if first.GetRequest() != 1 || again.GetRequest() != 1 {
		t.Errorf("requests %d and %d, want 1", first.GetRequest(), again.GetRequest())
	}
	refused(t, w, instance.CodeInstanceNotFound, bus.SubjectInstancesGet, &pb.GetInstanceRequest{Ref: i.GetId()})
	refused(t, w, instance.CodeInstanceNotFound, bus.SubjectInstancesConnect, &pb.ConnectRequest{Ref: i.GetId()})
	refused(t, w, instance.CodeInstanceNotFound, bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: "shop"})
	rec, err := w.load(t.Context(), instance.ID(i.GetId()))
	if err != nil || rec.GetDeletedAt() == nil || rec.GetInstance().GetName() != "shop" || rec.GetDeleteRequest() != 1 {
		t.Errorf("tombstone %v, %v", rec.InstanceRecord, err)
	}
	w.made(t, simple("shop"))
	refused(t, w, instance.CodeNumberTaken, bus.SubjectInstancesCreate, &pb.CreateInstanceRequest{Name: "other", Provider: "simulated", Number: i.GetNumber()})
	w.consistent(t, "after the deletion")
}

func TestSettings(t *testing.T) {
	w := serving(t)
	if s := must[pb.GetSettingsReply](t, w, bus.SubjectSettingsGet, &pb.GetSettingsRequest{}).GetSettings(); s.GetWhatsappVersion() != "" {
		t.Errorf("settings %v", s)
	}
	refused(t, w, instance.CodeInvalidRequest, bus.SubjectSettingsUpdate, &pb.UpdateSettingsRequest{WhatsappVersion: new("latest")})
	must[pb.UpdateSettingsReply](t, w, bus.SubjectSettingsUpdate, &pb.UpdateSettingsRequest{WhatsappVersion: new("2.3000.1023223821")})
	must[pb.UpdateSettingsReply](t, w, bus.SubjectSettingsUpdate, &pb.UpdateSettingsRequest{})
	s := must[pb.GetSettingsReply](t, w, bus.SubjectSettingsGet, &pb.GetSettingsRequest{}).GetSettings()
	if s.GetWhatsappVersion() != "2.3000.1023223821" || !s.GetUpdatedAt().IsValid() {
		t.Errorf("settings %v", s)
	}
	must[pb.UpdateSettingsReply](t, w, bus.SubjectSettingsUpdate, &pb.UpdateSettingsRequest{WhatsappVersion: new("")})
}
