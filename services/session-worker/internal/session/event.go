package session

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// event makes an event of the instance under the actor's epoch; body sets what it tells.
func (a *Actor) event(kind instance.Kind, attempt uint64, body func(*pb.Event)) *pb.Event {
	return newEvent(a.host.Record(), a.Epoch, kind, attempt, body)
}

// StatusEvent makes the event that tells the status of the record's instance.
func StatusEvent(record *pb.InstanceRecord, s instance.Status) *pb.Event {
	return newEvent(record, s.Epoch, instance.KindStatus, s.Attempt, statusBody(s))
}

func newEvent(record *pb.InstanceRecord, epoch uint64, kind instance.Kind, attempt uint64, body func(*pb.Event)) *pb.Event {
	i := record.GetInstance()
	e := &pb.Event{
		Id: bus.NewEventID(), Kind: string(kind), Time: timestamppb.New(time.Now()), Epoch: epoch, Attempt: attempt,
		Instance: &pb.InstanceRef{Id: i.GetId(), Name: i.GetName(), Number: i.GetNumber(), Provider: i.GetProvider()},
	}
	body(e)
	return e
}

func statusBody(s instance.Status) func(*pb.Event) {
	return func(e *pb.Event) { e.Body = &pb.Event_Status{Status: bus.StatusToProto(s)} }
}

func codeBody(c instance.ShownCode) func(*pb.Event) {
	return func(e *pb.Event) {
		e.Body = &pb.Event_Code{Code: &pb.Qr{Code: c.Text, Attempt: c.Attempt, Sequence: c.Sequence,
			IssuedAt: timestamppb.New(c.Issued), ExpiresAt: timestamppb.New(c.Expires)}}
	}
}

func pairingCodeBody(c instance.TypedCode) func(*pb.Event) {
	return func(e *pb.Event) {
		e.Body = &pb.Event_PairingCode{PairingCode: &pb.PairingCode{Code: c.Code, Phone: c.Phone, Attempt: c.Attempt,
			IssuedAt: timestamppb.New(c.Issued), ExpiresAt: timestamppb.New(c.Expires)}}
	}
}

func passkeyBody(p instance.Passkey) func(*pb.Event) {
	return func(e *pb.Event) {
		e.Body = &pb.Event_Passkey{Passkey: &pb.PasskeyChallenge{Options: p.Options, Confirmation: p.Confirmation,
			ExpiresAt: timestamppb.New(p.Expires)}}
	}
}

// WishOf returns the wish that a record holds.
func WishOf(r *pb.InstanceRecord) instance.Wish {
	p := r.GetPairing()
	w := instance.Wish{Connect: r.GetConnectRequest(), Logout: r.GetLogoutRequest(), Restart: r.GetRestartRequest(),
		Delete: r.GetDeleteRequest()}
	w.Pairing = instance.PairingWish{Method: instance.Method(p.GetMethod()), Phone: p.GetPhone(),
		Window: time.Duration(p.GetWindow()) * time.Second}
	if p.GetRequestedAt() != nil {
		w.Pairing.RequestedAt = p.GetRequestedAt().AsTime()
	}
	return w
}
