package bus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pairgate.dev/proto/pairgate/v1"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
)

func sampleEvent(k instance.Kind) *pb.Event {
	e := &pb.Event{
		Id: bus.NewEventID(), Kind: string(k), Time: timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)), Epoch: 7, Attempt: 2,
		Instance: &pb.InstanceRef{Id: string(testID), Name: "a", Number: 1101000001, Provider: "simulated"},
	}
	switch k {
	case instance.KindStatus:
		e.Body = &pb.Event_Status{Status: &pb.Status{Phase: "online"}}
	case instance.KindCode:
		e.Body = &pb.Event_Code{Code: &pb.Qr{Attempt: 2}}
	case instance.KindQR:
		e.Body = &pb.Event_Qr{Qr: &pb.Qr{Code: "x"}}
	case instance.KindPairingCode:
		e.Body = &pb.Event_PairingCode{PairingCode: &pb.PairingCode{}}
	case instance.KindPasskey:
		e.Body = &pb.Event_Passkey{Passkey: &pb.PasskeyChallenge{}}
	default:
		e.Body = &pb.Event_Spec{Spec: &pb.Instance{Id: string(testID)}}
	}
	return e
}

func TestEventRoundTripThroughTheStream(t *testing.T) {
	c := bustest.Conn(t, bustest.Server(t))
	live, err := c.NATS().SubscribeSync(bus.LiveEvents)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := c.JetStream().OrderedConsumer(t.Context(), bus.StreamEvents, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.JetStream().Stream(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ttls := map[instance.Kind]string{"status": "never", "code": "5m0s", "qr": "5m0s", "pairing-code": "5m0s", "passkey": "5m0s"}
	for _, k := range instance.Kinds() {
		e := sampleEvent(k)
		e.Sequence = 99 // of a stream that is not this one
		m, err := bus.EncodeEvent(e)
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		bus.InjectTrace(trace.ContextWithSpanContext(t.Context(), parent), m)
		for name, want := range map[string]string{
			"ce-specversion": "1.0", "ce-id": e.GetId(), "ce-source": "/pairgate", "ce-type": "pairgate.v1." + string(k),
			"ce-subject": string(testID), "ce-time": "2026-01-02T03:04:05.0000006Z", "Content-Type": "application/json",
			"Nats-Msg-Id": e.GetId(), "Nats-TTL": ttls[k], "traceparent": "00-01000000000000000000000000000000-0200000000000000-00",
		} {
			if got := m.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", k, name, got, want)
			}
		}
		if got := bus.ExtractTrace(t.Context(), m.Header); trace.SpanContextFromContext(got).TraceID() != parent.TraceID() {
			t.Errorf("%s: the trace is lost", k)
		}
		ack, err := c.JetStream().PublishMsg(t.Context(), m)
		if err != nil {
			t.Fatalf("%s: %v", k, err)
		}
		e.Sequence = ack.Sequence

		check := func(from string, got *pb.Event, err error) {
			t.Helper()
			if err != nil || !proto.Equal(got, e) {
				t.Errorf("%s from the %s: %v, %v", k, from, got, err)
			}
		}
		lm, err := live.NextMsg(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		got, err := bus.DecodeLiveEvent(lm)
		check("live subject", got, err)
		cm, err := consumer.Next(jetstream.FetchMaxWait(5 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		got, err = bus.DecodeEventMsg(cm)
		check("consumer", got, err)
		raw, err := stream.GetLastMsgForSubject(t.Context(), bus.EventSubject(testID, k))
		if err != nil {
			t.Fatal(err)
		}
		got, err = bus.DecodeRawEvent(raw)
		check("stream", got, err)
		if strings.Contains(string(raw.Data), `"99"`) {
			t.Errorf("%s: the stored body has a sequence", k)
		}
	}
}

func TestEncodeEventTellsWhatIsMissing(t *testing.T) {
	for name, spoil := range map[string]func(*pb.Event){
		"instance": func(e *pb.Event) { e.Instance.Id = "x" },
		"case":     func(e *pb.Event) { e.Instance.Id = strings.ToUpper(e.Instance.Id) },
		"kind":     func(e *pb.Event) { e.Kind = "x" },
		"id":       func(e *pb.Event) { e.Id = "" },
		"time":     func(e *pb.Event) { e.Time = nil },
		"body":     func(e *pb.Event) { e.Body = nil },
		"other":    func(e *pb.Event) { e.Kind = "qr" },
	} {
		e := sampleEvent(instance.KindStatus)
		spoil(e)
		if _, err := bus.EncodeEvent(e); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEventIDs(t *testing.T) {
	a := bus.LifecycleEventID(testID, 5, instance.KindUpdated)
	if a != bus.LifecycleEventID(testID, 5, instance.KindUpdated) || a == bus.LifecycleEventID(testID, 6, instance.KindUpdated) ||
		a == bus.LifecycleEventID(testID, 5, instance.KindCreated) {
		t.Error("lifecycle ids must depend on instance, revision and kind alone")
	}
	if id := uuid.MustParse(a); id.Version() != 5 {
		t.Errorf("version %d", id.Version())
	}
	if id := uuid.MustParse(bus.NewEventID()); id.Version() != 7 {
		t.Errorf("version %d", id.Version())
	}
	first, again := bus.DerivedEventID("c", instance.KindQR), bus.DerivedEventID("c", instance.KindQR)
	if first != again || first == bus.DerivedEventID("d", instance.KindQR) {
		t.Error("derived ids must depend on what they are derived from")
	}
}

func FuzzDecodeEvent(f *testing.F) {
	m, err := bus.EncodeEvent(sampleEvent(instance.KindStatus))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Data)
	f.Add([]byte(`{"id":5}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := bus.DecodeEvent(data); err == nil {
			if _, err := bus.EncodeJSON(e); err != nil {
				t.Error(err)
			}
		}
	})
}
