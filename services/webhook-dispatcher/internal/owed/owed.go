// Package owed is the form of a message in the stream DELIVERIES.
package owed

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// HeaderTrace is the header that carries the trace of the event.
const HeaderTrace = "traceparent"

// namespace of delivery ids. It never changes.
var namespace = uuid.MustParse("0d1f9c52-7a55-5c0e-8a53-3f1f4c7b2a90")

// ID returns the id of the delivery of an event to an endpoint: the header
// webhook-id, and the same whenever it is derived again.
func ID(event, endpoint string) string {
	return uuid.NewSHA1(namespace, []byte(event+"/"+endpoint)).String()
}

// Encode returns the message that a delivery is owed by, with its id as
// Nats-Msg-Id. It is binary, because the body is bytes that nobody reads there.
func Encode(o *pb.OwedDelivery, trace string) (*nats.Msg, error) {
	data, err := proto.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("owed: %w", err)
	}
	m := nats.NewMsg(bus.LaneSubject(o.GetWebhookId(), instance.ID(o.GetInstanceId())))
	m.Data = data
	m.Header.Set(nats.MsgIdHdr, o.GetId())
	m.Header.Set(bus.HeaderContentType, bus.ContentProtobuf)
	if trace != "" {
		m.Header.Set(HeaderTrace, trace)
	}
	return m, nil
}

// ErrUnreadable is a message that is no delivery.
var ErrUnreadable = errors.New("owed: not a delivery, or not of this lane")

// Decode undoes Encode. It returns ErrUnreadable for bytes that are no delivery
// and for one that belongs to another lane than the subject.
func Decode(subject string, data []byte) (*pb.OwedDelivery, error) {
	o := new(pb.OwedDelivery)
	if proto.Unmarshal(data, o) != nil || o.GetId() == "" {
		return nil, ErrUnreadable
	}
	if endpoint, id, ok := bus.ParseLaneSubject(subject); !ok || endpoint != o.GetWebhookId() || string(id) != o.GetInstanceId() {
		return nil, ErrUnreadable
	}
	return o, nil
}
