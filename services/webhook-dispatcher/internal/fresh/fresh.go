// Package fresh decides whether a code or picture may still be sent. A picture
// that is delivered after its scan is worse than none, so what was owed is
// compared with the last status of its instance at the moment of sending.
package fresh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// The reasons for which a delivery is dropped.
const (
	Expired    = "expired"
	Superseded = "superseded"
)

// Last is the last event of a kind in EVENTS.
type Last struct {
	// Sequence in the stream; 0 when there is none.
	Sequence uint64
	Event    *pb.Event
}

// Reader reads the last event of a kind of an instance, from the stream's leader:
// a view in memory may be a moment behind the scan.
type Reader interface {
	Last(ctx context.Context, id instance.ID, k instance.Kind) (Last, error)
}

// Lives says whether a delivery has a life, so that it must be checked.
func Lives(o *pb.OwedDelivery) bool { return o.GetExpiresAt() != nil }

// Check returns why the delivery must not be sent any more, or "" when it may.
// The error is the Reader's; then nothing is decided.
func Check(ctx context.Context, r Reader, o *pb.OwedDelivery, now time.Time) (reason string, err error) {
	if !Lives(o) {
		return "", nil
	}
	if !now.Before(o.GetExpiresAt().AsTime()) {
		return Expired, nil
	}
	id := instance.ID(o.GetInstanceId())
	status, err := r.Last(ctx, id, instance.KindStatus)
	if err != nil {
		return "", err
	}
	kind := instance.Kind(o.GetKind())
	if over(kind, o, status) {
		return Superseded, nil
	}
	same, err := r.Last(ctx, id, kind)
	if err != nil {
		return "", err
	}
	if same.Sequence > o.GetSequence() {
		return Superseded, nil
	}
	return "", nil
}

// over says whether the last status leaves no use for the delivery. The status
// that opens a window stands before its first code in the stream, so any other
// last status means that the window is over.
func over(kind instance.Kind, o *pb.OwedDelivery, last Last) bool {
	status := last.Event.GetStatus()
	if status == nil || status.GetAttempt() != o.GetAttempt() {
		return true
	}
	phase := instance.Phase(status.GetPhase())
	if kind == instance.KindPasskey {
		// A challenge may be published before the status that waits for it.
		return last.Sequence > o.GetSequence() && phase != instance.PasskeyRequired || !phase.Window()
	}
	return phase != instance.Pairing
}

// StreamReader is the Reader of a running dispatcher.
type StreamReader struct{ Stream jetstream.Stream }

// Last implements Reader.
func (s StreamReader) Last(ctx context.Context, id instance.ID, k instance.Kind) (Last, error) {
	m, err := s.Stream.GetLastMsgForSubject(ctx, bus.EventSubject(id, k))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Last{}, nil
	}
	if err != nil {
		return Last{}, fmt.Errorf("reading the last %s: %w", k, err)
	}
	ev, err := bus.DecodeRawEvent(m)
	if err != nil {
		return Last{}, fmt.Errorf("reading the last %s: %w", k, err)
	}
	return Last{Sequence: m.Sequence, Event: ev}, nil
}
