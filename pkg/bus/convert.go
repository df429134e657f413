package bus

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pairgate.dev/proto/pairgate/v1"

	"pairgate.dev/pkg/instance"
)

// StatusToProto returns the status as it goes over the wire.
func StatusToProto(s instance.Status) *pb.Status {
	return &pb.Status{
		Phase:           string(s.Phase),
		Reason:          string(s.Reason),
		Detail:          s.Detail,
		Since:           TimeToProto(s.Since),
		Until:           TimeToProto(s.Until),
		Attempt:         s.Attempt,
		Epoch:           s.Epoch,
		ObservedRequest: s.ObservedRequest,
		Account:         AccountToProto(s.Account),
		Passkey:         PasskeyToProto(s.Passkey),

		PreviousPhase:    string(s.Previous),
		PreviouslyLinked: s.PreviouslyLinked,
	}
}

// StatusFromProto undoes StatusToProto; nil gives the zero status. Phases and
// reasons of a newer version are kept as they are.
func StatusFromProto(s *pb.Status) instance.Status {
	return instance.Status{
		Phase:           instance.Phase(s.GetPhase()),
		Reason:          instance.Reason(s.GetReason()),
		Detail:          s.GetDetail(),
		Since:           TimeFromProto(s.GetSince()),
		Until:           TimeFromProto(s.GetUntil()),
		Attempt:         s.GetAttempt(),
		Epoch:           s.GetEpoch(),
		ObservedRequest: s.GetObservedRequest(),
		Account:         AccountFromProto(s.GetAccount()),
		Passkey:         PasskeyFromProto(s.GetPasskey()),

		Previous:         instance.Phase(s.GetPreviousPhase()),
		PreviouslyLinked: s.GetPreviouslyLinked(),
	}
}

// AccountToProto returns nil for nil.
func AccountToProto(a *instance.Account) *pb.Account {
	if a == nil {
		return nil
	}
	return &pb.Account{Id: a.ID, Phone: a.Phone, Name: a.Name}
}

// AccountFromProto returns nil for nil.
func AccountFromProto(a *pb.Account) *instance.Account {
	if a == nil {
		return nil
	}
	return &instance.Account{ID: a.GetId(), Phone: a.GetPhone(), Name: a.GetName()}
}

// PasskeyToProto returns nil for nil.
func PasskeyToProto(p *instance.Passkey) *pb.PasskeyChallenge {
	if p == nil {
		return nil
	}
	return &pb.PasskeyChallenge{Options: p.Options, Confirmation: p.Confirmation, ExpiresAt: TimeToProto(p.Expires)}
}

// PasskeyFromProto returns nil for nil.
func PasskeyFromProto(p *pb.PasskeyChallenge) *instance.Passkey {
	if p == nil {
		return nil
	}
	return &instance.Passkey{Options: p.GetOptions(), Confirmation: p.GetConfirmation(), Expires: TimeFromProto(p.GetExpiresAt())}
}

// TimeToProto returns nil for the zero time, so that an absent time is absent on the wire.
func TimeToProto(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// TimeFromProto undoes TimeToProto; the result is in UTC.
func TimeFromProto(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
