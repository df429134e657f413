// Package owed is the form of a message in the stream DELIVERIES.
package owed

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
)

// HeaderTrace is the header that carries the trace of the event, HeaderSequence
// that with the event's number in EVENTS.
const (
	HeaderTrace    = "traceparent"
	HeaderSequence = "Pairgate-Sequence"
)

// namespace of delivery ids. It never changes.
var namespace = uuid.MustParse("0d1f9c52-7a55-5c0e-8a53-3f1f4c7b2a90")

// ID returns the id of the delivery of one notification of an event to an endpoint: the
// header webhook-id, and the same whenever it is derived again. part is the name of the
// notification, empty where an event makes only one.
func ID(event, endpoint, part string) string {
	name := event + "/" + endpoint
	if part != "" {
		name += "/" + part
	}
	return uuid.NewSHA1(namespace, []byte(name)).String()
}

// New returns the delivery of one notification of an event, which must carry its
// sequence, to an endpoint. The error is that of making its body.
func New(hook *pb.Webhook, ev *pb.Event, part format.Part) (*pb.OwedDelivery, error) {
	body, err := part.Body(hook)
	if err != nil {
		return nil, fmt.Errorf("owed: body: %w", err)
	}
	return &pb.OwedDelivery{
		Id: ID(ev.GetId(), hook.GetId(), part.Name), WebhookId: hook.GetId(), InstanceId: ev.GetInstance().GetId(),
		EventId: ev.GetId(), Kind: ev.GetKind(), Sequence: ev.GetSequence(), Attempt: ev.GetAttempt(),
		ExpiresAt: part.Expires, Body: body, ContentType: part.MediaType, Part: part.Name,
	}, nil
}

// messageID is the delivery's id for what its event made owed, and names the series
// for what was made owed again. The id of a delivery has no "/".
func messageID(o *pb.OwedDelivery) string {
	if o.GetSeries() == 0 {
		return o.GetId()
	}
	return o.GetId() + "/" + strconv.FormatUint(o.GetSeries(), 10)
}

// ParseMessageID returns the delivery and the series that a Nats-Msg-Id in DELIVERIES names.
func ParseMessageID(text string) (id string, series uint64, ok bool) {
	id, rest, again := strings.Cut(text, "/")
	if !again {
		return id, 0, id != ""
	}
	series, err := strconv.ParseUint(rest, 10, 64)
	return id, series, err == nil && id != "" && series != 0
}

// Encode returns the message that a delivery is owed by, with its id and series
// as Nats-Msg-Id. It is binary, because the body is bytes that nobody reads there.
func Encode(o *pb.OwedDelivery, trace string) (*nats.Msg, error) {
	data, err := proto.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("owed: %w", err)
	}
	m := nats.NewMsg(bus.LaneSubject(o.GetWebhookId(), instance.ID(o.GetInstanceId())))
	m.Data = data
	m.Header.Set(nats.MsgIdHdr, messageID(o))
	m.Header.Set(HeaderSequence, strconv.FormatUint(o.GetSequence(), 10))
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
