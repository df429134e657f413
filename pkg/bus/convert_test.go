package bus_test

import (
	"reflect"
	"testing"
	"time"

	pb "pairgate.dev/proto/pairgate/v1"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
)

func TestStatusRoundTrip(t *testing.T) {
	at := time.Date(2026, 5, 6, 7, 8, 9, 1000, time.UTC)
	for name, s := range map[string]instance.Status{
		"Full": {Phase: instance.PasskeyRequired, Reason: instance.ReasonPasskeyNeeded, Detail: "d", Since: at, Until: at.Add(time.Hour),
			Attempt: 3, Epoch: 5, ObservedRequest: 7, Account: &instance.Account{ID: "i", Phone: "1", Name: "n"},
			Passkey: &instance.Passkey{Options: "{}", Confirmation: "123", Expires: at}},
		"Sparse": {Phase: instance.Idle, Reason: instance.ReasonCreated},
		"Zero":   {},
	} {
		if got := bus.StatusFromProto(bus.StatusToProto(s)); !reflect.DeepEqual(got, s) {
			t.Errorf("%s: got %+v, want %+v", name, got, s)
		}
	}
	if got := bus.StatusFromProto(nil); !reflect.DeepEqual(got, instance.Status{}) {
		t.Errorf("nil: %+v", got)
	}
	if bus.StatusToProto(instance.Status{}).Until != nil {
		t.Error("an absent time must be absent")
	}
}

func TestProblemRoundTripForEveryCode(t *testing.T) {
	for _, code := range instance.Codes() {
		p := &instance.Problem{Code: code, Detail: "d", Errors: []instance.FieldError{{Field: "a.b", Message: "m"}}, RetryAfter: 4,
			Phase: instance.Online, Reason: instance.ReasonLinked}
		wire := bus.ProblemToProto(p)
		if int(wire.GetStatus()) != code.HTTPStatus() || wire.GetTitle() == "" || wire.GetType() != "urn:pairgate:problem:"+string(code) {
			t.Errorf("%s: %v", code, wire)
		}
		if got := bus.ProblemFromProto(wire); !reflect.DeepEqual(got, p) {
			t.Errorf("got %+v, want %+v", got, p)
		}
	}
	for status, want := range map[uint32]instance.Code{404: instance.CodeNotFound, 503: instance.CodeUnavailable, 418: instance.CodeInternal, 500: instance.CodeInternal} {
		if got := bus.ProblemFromProto(&pb.Problem{Code: "from_the_future", Status: status}); got.Code != want {
			t.Errorf("unknown code with %d: got %s, want %s", status, got.Code, want)
		}
	}
}
