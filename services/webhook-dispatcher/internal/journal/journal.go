// Package journal is the form of messages in the streams ATTEMPTS and DEADLETTERS:
// what was tried of a delivery, and what was given up.
//
// What a list is filtered and ordered by stands in headers, so that a list reads
// the bodies of no more records than it shows.
package journal

import (
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
)

// States of a delivery.
const (
	Pending   = "pending"
	Delivered = "delivered"
	Failed    = "failed"
	Dropped   = "dropped"
)

// States lists every state.
func States() []string { return []string{Pending, Delivered, Failed, Dropped} }

// Headers of a record, beside owed.HeaderSequence.
const (
	HeaderDelivery = "Pairgate-Delivery"
	HeaderSeries   = "Pairgate-Series"
	HeaderState    = "Pairgate-State"
)

// Attempt returns the message that writes the record to the log of attempts.
func Attempt(d *pb.Delivery) (*nats.Msg, error) {
	return encode(bus.AttemptSubject(d.GetWebhookId(), d.GetId()), d)
}

// DeadLetter returns the message that writes the record among the dead letters.
// owedAt is the number that its message had in DELIVERIES.
func DeadLetter(d *pb.Delivery, owedAt uint64) (*nats.Msg, error) {
	m, err := encode(bus.DeadLetterSubject(d.GetWebhookId(), instance.ID(d.GetInstanceId())), d)
	if err == nil {
		m.Header.Set(nats.MsgIdHdr, fmt.Sprintf("dead/%d/%s", owedAt, d.GetId()))
	}
	return m, err
}

func encode(subject string, d *pb.Delivery) (*nats.Msg, error) {
	data, err := bus.EncodeJSON(d)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	m := nats.NewMsg(subject)
	m.Data = data
	m.Header.Set(bus.HeaderContentType, bus.ContentJSON)
	m.Header.Set(HeaderDelivery, d.GetId())
	m.Header.Set(HeaderState, d.GetState())
	m.Header.Set(HeaderSeries, strconv.FormatUint(d.GetSeries(), 10))
	m.Header.Set(owed.HeaderSequence, strconv.FormatUint(d.GetSequence(), 10))
	return m, nil
}

// Decode undoes Attempt and DeadLetter.
func Decode(data []byte) (*pb.Delivery, error) {
	d := new(pb.Delivery)
	if err := bus.DecodeJSON(data, d); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return d, nil
}
