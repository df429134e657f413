package bus

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	pb "pairgate.dev/proto/pairgate/v1"

	"pairgate.dev/pkg/instance"
)

// Headers of events: CloudEvents 1.0, binary mode.
const (
	HeaderCESpecVersion = "ce-specversion"
	HeaderCEID          = "ce-id"
	HeaderCESource      = "ce-source"
	HeaderCEType        = "ce-type"
	HeaderCESubject     = "ce-subject"
	HeaderCETime        = "ce-time"
)

// EventSource is the ce-source of every event.
const EventSource = "/pairgate"

// EventType returns the ce-type of a kind: pairgate.v1.<kind>.
func EventType(k instance.Kind) string { return prefix + string(k) }

// TTLNever is the Nats-TTL of what must outlive its stream's MaxAge: statuses,
// because the last one is the truth, and owner records, because they are the fence.
const TTLNever = "never"

// eventNamespace is the UUIDv5 namespace of derived event ids. It never changes.
var eventNamespace = uuid.MustParse("5f1d4a0e-8d6c-5a3b-9c1e-2b7f60a4d911")

// NewEventID returns a new id for an event of a worker, a UUIDv7. The event keeps
// it through all retries.
func NewEventID() string { return uuid.Must(uuid.NewV7()).String() }

// LifecycleEventID returns the id of the created, updated or deleted event that
// tells of one revision of an instance's record. Deriving it again gives the same.
func LifecycleEventID(id instance.ID, revision uint64, k instance.Kind) string {
	return uuid.NewSHA1(eventNamespace, fmt.Appendf(nil, "%s/%d/%s", id, revision, k)).String()
}

// DerivedEventID returns the id of an event of the given kind that was made from
// another event, such as a picture from a code. Deriving it again gives the same.
func DerivedEventID(from string, k instance.Kind) string {
	return uuid.NewSHA1(eventNamespace, fmt.Appendf(nil, "%s/%s", from, k)).String()
}

// EncodeEvent returns the message of an event, ready to be published: subject,
// CloudEvents headers, the event's id as Nats-Msg-Id, the life that the stream's
// rules give its kind, and the JSON body. Sequence is left out: in the stream the
// message itself carries it. Add a fence with jetstream's publish options and the
// trace with InjectTrace.
//
// The error tells what is missing: an id, a time, a valid instance and kind, and
// the body that belongs to the kind.
func EncodeEvent(e *pb.Event) (*nats.Msg, error) {
	kind := instance.Kind(e.GetKind())
	id, ok := instance.ParseID(e.GetInstance().GetId())
	switch {
	case !ok || string(id) != e.GetInstance().GetId():
		return nil, errors.New("bus: event without a valid instance id")
	case !kind.Valid():
		return nil, errors.New("bus: event of an unknown kind")
	case e.GetId() == "":
		return nil, errors.New("bus: event without id")
	case !e.GetTime().IsValid():
		return nil, errors.New("bus: event without time")
	case !bodyMatches(kind, e):
		return nil, fmt.Errorf("bus: event of kind %s without the body of that kind", kind)
	}
	if e.GetSequence() != 0 {
		e = proto.CloneOf(e)
		e.Sequence = 0
	}
	body, err := EncodeJSON(e)
	if err != nil {
		return nil, err
	}
	m := nats.NewMsg(EventSubject(id, kind))
	m.Data = body
	m.Header.Set(HeaderContentType, ContentJSON)
	m.Header.Set(HeaderCESpecVersion, "1.0")
	m.Header.Set(HeaderCEID, e.GetId())
	m.Header.Set(HeaderCESource, EventSource)
	m.Header.Set(HeaderCEType, EventType(kind))
	m.Header.Set(HeaderCESubject, string(id))
	m.Header.Set(HeaderCETime, e.GetTime().AsTime().Format(time.RFC3339Nano))
	m.Header.Set(jetstream.MsgIDHeader, e.GetId())
	if ttl := EventTTL(kind); ttl != "" {
		m.Header.Set(jetstream.MsgTTLHeader, ttl)
	}
	return m, nil
}

// EventTTL returns the Nats-TTL of a kind: "never" for statuses, CodeTTL for what
// carries a code or a picture, and "" (the stream's MaxAge) for lifecycle events.
func EventTTL(k instance.Kind) string {
	switch k {
	case instance.KindStatus:
		return TTLNever
	case instance.KindCode, instance.KindQR, instance.KindPairingCode, instance.KindPasskey:
		return CodeTTL.String()
	}
	return ""
}

func bodyMatches(k instance.Kind, e *pb.Event) bool {
	switch k {
	case instance.KindStatus:
		return e.GetStatus() != nil
	case instance.KindCode:
		return e.GetCode() != nil
	case instance.KindQR:
		return e.GetQr() != nil
	case instance.KindPairingCode:
		return e.GetPairingCode() != nil
	case instance.KindPasskey:
		return e.GetPasskey() != nil
	}
	return e.GetSpec() != nil
}

// DecodeEvent decodes the body of an event. Fields of newer versions are ignored.
func DecodeEvent(data []byte) (*pb.Event, error) {
	e := new(pb.Event)
	if err := DecodeJSON(data, e); err != nil {
		return nil, err
	}
	return e, nil
}

// DecodeEventMsg decodes an event that a consumer delivered, its Sequence filled in.
func DecodeEventMsg(m jetstream.Msg) (*pb.Event, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("bus: event without metadata: %w", err)
	}
	return decodeEventAt(m.Subject(), m.Data(), meta.Sequence.Stream)
}

// DecodeRawEvent decodes an event that was read from the stream by subject or
// sequence, its Sequence filled in.
func DecodeRawEvent(m *jetstream.RawStreamMsg) (*pb.Event, error) {
	return decodeEventAt(m.Subject, m.Data, m.Sequence)
}

// DecodeLiveEvent decodes an event that the server has published again on its
// live subject, its Sequence filled in from the header.
func DecodeLiveEvent(m *nats.Msg) (*pb.Event, error) {
	sequence, err := strconv.ParseUint(m.Header.Get(HeaderSequence), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("bus: live event without %s", HeaderSequence)
	}
	return decodeEventAt(m.Header.Get(HeaderSubject), m.Data, sequence)
}

// decodeEventAt decodes an event and checks that it is what its subject says.
func decodeEventAt(subject string, data []byte, sequence uint64) (*pb.Event, error) {
	id, kind, ok := ParseEventSubject(subject)
	if !ok {
		return nil, fmt.Errorf("bus: %q is no subject of an event", oneLine(subject))
	}
	e, err := DecodeEvent(data)
	if err != nil {
		return nil, err
	}
	if e.GetInstance().GetId() != string(id) || e.GetKind() != string(kind) {
		return nil, fmt.Errorf("bus: the event on %s says that it belongs elsewhere", subject)
	}
	e.Sequence = sequence
	return e, nil
}
