package fresh_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/fresh"
)

// events answers with the last event of each kind.
type events map[instance.Kind]fresh.Last

func (e events) Last(_ context.Context, _ instance.ID, k instance.Kind) (fresh.Last, error) {
	return e[k], nil
}

func last(seq uint64, phase instance.Phase, attempt uint64) fresh.Last {
	return fresh.Last{Sequence: seq, Event: &pb.Event{Body: &pb.Event_Status{Status: &pb.Status{Phase: string(phase), Attempt: attempt}}}}
}

func TestCheck(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	owe := func(k instance.Kind, seq, attempt uint64, life time.Duration) *pb.OwedDelivery {
		return &pb.OwedDelivery{Kind: string(k), Sequence: seq, Attempt: attempt, ExpiresAt: timestamppb.New(now.Add(life))}
	}
	const (
		qr  = instance.KindQR
		pas = instance.KindPasskey
	)
	cases := []struct {
		name string
		owed *pb.OwedDelivery
		last events
		want string
	}{
		{"StatusHasNoLife", &pb.OwedDelivery{Kind: "status"}, nil, ""},
		{"Live", owe(qr, 11, 1, time.Minute), events{"status": last(10, instance.Pairing, 1), qr: {Sequence: 11}}, ""},
		{"Expired", owe(qr, 11, 1, 0), events{"status": last(10, instance.Pairing, 1)}, fresh.Expired},
		{"Scanned", owe(qr, 11, 1, time.Minute), events{"status": last(12, instance.Syncing, 1)}, fresh.Superseded},
		{"DrawnAfterTheScan", owe(qr, 13, 1, time.Minute), events{"status": last(12, instance.Online, 1)}, fresh.Superseded},
		{"EarlierAttempt", owe(qr, 11, 1, time.Minute), events{"status": last(12, instance.Pairing, 2)}, fresh.Superseded},
		{"NewerPicture", owe(qr, 11, 1, time.Minute), events{"status": last(10, instance.Pairing, 1), qr: {Sequence: 14}}, fresh.Superseded},
		{"NoStatusAtAll", owe(qr, 11, 1, time.Minute), nil, fresh.Superseded},
		{"PairingCode", owe(instance.KindPairingCode, 11, 1, time.Minute), events{"status": last(10, instance.Pairing, 1)}, ""},
		{"PasskeyBeforeItsStatus", owe(pas, 11, 1, time.Minute), events{"status": last(10, instance.Pairing, 1)}, ""},
		{"PasskeyAwaited", owe(pas, 11, 1, time.Minute), events{"status": last(12, instance.PasskeyRequired, 1)}, ""},
		{"PasskeyAnswered", owe(pas, 11, 1, time.Minute), events{"status": last(13, instance.Syncing, 1)}, fresh.Superseded},
		{"PasskeyOfAClosedWindow", owe(pas, 11, 1, time.Minute), events{"status": last(10, instance.Idle, 1)}, fresh.Superseded},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := fresh.Check(t.Context(), c.last, c.owed, now)
			if err != nil || got != c.want {
				t.Fatalf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

type broken struct{ error }

func (b broken) Last(context.Context, instance.ID, instance.Kind) (fresh.Last, error) {
	return fresh.Last{}, b.error
}

func TestNothingIsDecidedWithoutTheStream(t *testing.T) {
	down := errors.New("down")
	o := &pb.OwedDelivery{Kind: "qr", ExpiresAt: timestamppb.New(time.Now().Add(time.Minute))}
	if reason, err := fresh.Check(t.Context(), broken{down}, o, time.Now()); reason != "" || !errors.Is(err, down) {
		t.Fatalf("%q, %v", reason, err)
	}
}
