// Package format makes the notifications that webhooks tell of events, each in the
// words of its endpoint's format, and says by which policy each format is delivered.
package format

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/policy"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

// Format turns events into notifications.
type Format interface {
	// Parts returns the notifications that the format makes of an event, in the order
	// in which they are to arrive; none for an event that it does not tell of. The event
	// carries its sequence and incarnation and must not be changed. What follows from an
	// event is the same whenever it is asked for, as far as the names go. The error is
	// that of looking something up; then nothing is decided.
	Parts(ctx context.Context, ev *pb.Event) ([]Part, error)
	// Dress gives a request what the format says of the way it is sent. It is called
	// for every attempt.
	Dress(req *sender.Request, d Dressing)
	// Policy of deliveries in this format.
	Policy() policy.Policy
}

// Part is one notification of an event.
type Part struct {
	// Name in the words of the format, different from those of the other parts of the
	// event; empty where an event makes one.
	Name string
	// Word is what an endpoint asks for it by in its list of notifications.
	Word string
	// MediaType of the body.
	MediaType string
	// Expires is when nobody can use it any more; nil for never.
	Expires *timestamppb.Timestamp
	// Body makes the bytes that are sent and signed.
	Body func(hook *pb.Webhook) ([]byte, error)
}

// WantedBy says whether the endpoint asks for the notification: its list names it or
// is empty.
func (p Part) WantedBy(hook *pb.Webhook) bool {
	words := hook.GetFormatEvents()
	return len(words) == 0 || slices.Contains(words, p.Word)
}

// Dressing is what is known of a delivery when it is sent.
type Dressing struct {
	Hook *pb.Webhook
	// Part is the name of the notification; empty for a test.
	Part string
	// Attempt is its number, from 1.
	Attempt int
	Now     time.Time
}

// Formats are the formats of a dispatcher, by name.
type Formats map[instance.Format]Format

// Of returns the format of an endpoint; an empty name means native.
func (f Formats) Of(name string) (Format, bool) {
	if name == "" {
		name = string(instance.FormatNative)
	}
	format, ok := f[instance.Format(name)]
	return format, ok
}

// Native is the event as it stands in the stream, with its sequence and the
// stream's incarnation.
type Native struct{ Delivery policy.Policy }

// Parts implements Format.
func (n Native) Parts(_ context.Context, ev *pb.Event) ([]Part, error) {
	body, err := bus.EncodeJSON(ev)
	if err != nil {
		return nil, err
	}
	return []Part{{MediaType: bus.ContentJSON, Expires: Expires(ev), Body: func(*pb.Webhook) ([]byte, error) { return body, nil }}}, nil
}

// Dress implements Format.
func (n Native) Dress(*sender.Request, Dressing) {}

// Policy implements Format.
func (n Native) Policy() policy.Policy { return n.Delivery }

// Expires returns the end of the life of a code, picture or challenge; nil for
// events that stay true and for a withdrawal, which takes away what was told.
func Expires(ev *pb.Event) *timestamppb.Timestamp {
	var at *timestamppb.Timestamp
	switch {
	case ev.GetQr().GetCode() != "":
		at = ev.GetQr().GetExpiresAt()
	case ev.GetCode().GetCode() != "":
		at = ev.GetCode().GetExpiresAt()
	case ev.GetPairingCode().GetCode() != "":
		at = ev.GetPairingCode().GetExpiresAt()
	case ev.GetPasskey() != nil:
		at = ev.GetPasskey().GetExpiresAt()
	}
	if at == nil {
		return nil
	}
	return proto.CloneOf(at)
}
