// Package format makes the bodies of webhooks, and says by which policy each
// format is delivered.
package format

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/policy"
)

// Format turns events into bodies.
type Format interface {
	// Body returns the bytes to be sent and signed, and their media type. ok is
	// false for an event that this format does not tell of. The event carries its
	// sequence and incarnation and must not be changed.
	Body(ev *pb.Event) (body []byte, mediaType string, ok bool, err error)
	// Policy of deliveries in this format.
	Policy() policy.Policy
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

// Body implements Format.
func (n Native) Body(ev *pb.Event) ([]byte, string, bool, error) {
	body, err := bus.EncodeJSON(ev)
	return body, bus.ContentJSON, true, err
}

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
