package registry

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

func TestGetQR(t *testing.T) {
	w := serving(t)
	i := w.made(t, simple("shop")).GetInstance()
	p := refused(t, w, instance.CodeNoQR, bus.SubjectQRGet, &pb.GetQrRequest{Ref: "shop"})
	if p.Phase != instance.Idle || p.Reason != instance.ReasonCreated {
		t.Errorf("%v in %s, %s", p, p.Phase, p.Reason)
	}
	w.says(t, i.GetId(), instance.Status{Phase: instance.Pairing, Reason: instance.ReasonQRIssued, Attempt: 1})
	qr := &pb.Qr{Code: "code", Attempt: 1, Sequence: 1, IssuedAt: timestamppb.Now(), ExpiresAt: timestamppb.New(time.Now().Add(time.Minute))}
	w.publish(t, &pb.Event{Kind: "code", Instance: &pb.InstanceRef{Id: i.GetId()}, Attempt: 1, Body: &pb.Event_Code{Code: qr}})
	got := must[pb.GetQrReply](t, w, bus.SubjectQRGet, &pb.GetQrRequest{Ref: "shop"})
	if got.GetQr().GetCode() != "code" || got.GetQr().GetImageReason() == "" || got.GetStatus().GetPhase() != "pairing" {
		t.Errorf("%v", got)
	}
	w.says(t, i.GetId(), instance.Status{Phase: instance.Online, Reason: instance.ReasonLinked, Attempt: 1, Account: &instance.Account{ID: "a"}})
	if p := refused(t, w, instance.CodeAlreadyLinked, bus.SubjectQRGet, &pb.GetQrRequest{Ref: "shop"}); p.Phase != instance.Online {
		t.Errorf("%v", p)
	}
}

// A password goes to the owner and nowhere else.
func TestPasswordAndPasskey(t *testing.T) {
	w := serving(t)
	i := w.made(t, simple("shop")).GetInstance()
	id := instance.ID(i.GetId())
	const password = "password-that-is-secret"
	p := refused(t, w, instance.CodeNoOwner, bus.SubjectInstancesPassword, &pb.PasswordRequest{Ref: "shop", Password: password})
	if strings.Contains(p.Error(), password) {
		t.Error("the password is in the refusal")
	}
	refused(t, w, instance.CodeNoOwner, bus.SubjectInstancesPasskey, &pb.PasskeyRequest{Ref: "shop", Confirm: true})

	owner, err := bus.NewService(w.conn, bus.ServiceConfig{Name: "session-worker"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Stop(context.Background()) })
	heard := make(chan string, 1)
	if _, err := bus.Listen(owner, bus.SessionSubject(id.Partition(), id, bus.VerbPassword), func(_ context.Context, req *pb.PasswordRequest) (*pb.SessionReply, error) {
		heard <- req.GetPassword()
		return &pb.SessionReply{Status: &pb.Status{Phase: "passwordRequired"}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if rep := must[pb.SessionReply](t, w, bus.SubjectInstancesPassword, &pb.PasswordRequest{Ref: "shop", Password: password}); rep.GetStatus().GetPhase() != "passwordRequired" || <-heard != password {
		t.Errorf("%v", rep)
	}
	// An owner that says nothing more than that it took it.
	if _, err := bus.Listen(owner, bus.SessionSubject(id.Partition(), id, bus.VerbPasskey), func(context.Context, *pb.PasskeyRequest) (*pb.SessionReply, error) {
		return &pb.SessionReply{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if rep := must[pb.SessionReply](t, w, bus.SubjectInstancesPasskey, &pb.PasskeyRequest{Ref: "shop", Confirm: true}); rep.GetStatus().GetPhase() != "idle" || rep.GetStatus().GetSince() == nil {
		t.Errorf("the reply tells no status: %v", rep)
	}
	for _, bad := range []*pb.PasskeyRequest{{Ref: "shop"}, {Ref: "shop", Response: "{}", Confirm: true}, {Ref: "shop", Response: "not json"}} {
		refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesPasskey, bad)
	}
	refused(t, w, instance.CodeInvalidRequest, bus.SubjectInstancesPassword, &pb.PasswordRequest{Ref: "shop"})
}
