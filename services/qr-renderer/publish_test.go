package renderer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/service"
	pb "pairgate.dev/proto/pairgate/v1"
)

const testInstance = instance.ID("0198c0de-0000-7000-8000-00000000feed")

func testCode(text string, life time.Duration) *pb.Event {
	now := time.Now()
	return &pb.Event{
		Id: bus.NewEventID(), Kind: string(instance.KindCode), Time: timestamppb.New(now), Attempt: 1,
		Instance: &pb.InstanceRef{Id: string(testInstance)},
		Body: &pb.Event_Code{Code: &pb.Qr{Code: text, Attempt: 1, Sequence: 1,
			IssuedAt: timestamppb.New(now), ExpiresAt: timestamppb.New(now.Add(life))}},
	}
}

func testWorker(t *testing.T, conn *bus.Conn) *worker {
	t.Helper()
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	views := bus.NewViews(conn, zap.NewNop())
	t.Cleanup(views.Close)
	return newWorker(Config{}, Deps{Bus: conn, Log: zap.NewNop(), Health: service.NewHealth(), Views: views}, m)
}

func store(t *testing.T, conn *bus.Conn, e *pb.Event) uint64 {
	t.Helper()
	m, err := bus.EncodeEvent(e)
	if err != nil {
		t.Fatal(err)
	}
	ack, err := conn.JetStream().PublishMsg(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

// delivered returns the next message of the consumer.
func delivered(t *testing.T, conn *bus.Conn) jetstream.Msg {
	t.Helper()
	c, err := conn.JetStream().CreateOrUpdateConsumer(t.Context(), bus.StreamEvents, consumerConfig())
	if err != nil {
		t.Fatal(err)
	}
	msg, err := c.Next(jetstream.FetchMaxWait(10 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func picturesStored(t *testing.T, conn *bus.Conn) []uint64 {
	t.Helper()
	stream, err := conn.JetStream().Stream(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	var found []uint64
	for from := uint64(1); ; {
		raw, err := stream.GetMsg(t.Context(), from, jetstream.WithGetMsgSubject(bus.EventSubject(testInstance, instance.KindQR)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, raw.Sequence)
		from = raw.Sequence + 1
	}
}

// The decision: a picture that is drawn already is refused when its code was
// withdrawn before it is published, and the stream has no picture after that.
func TestNoPictureAfterTheScan(t *testing.T) {
	for name, next := range map[string]string{"withdrawn": "", "followed": "2@the next code"} {
		t.Run(name, func(t *testing.T) {
			conn := bustest.Conn(t, bustest.Server(t))
			w := testWorker(t, conn)
			store(t, conn, testCode("2@the code that was scanned", time.Minute))
			msg := delivered(t, conn)
			code, err := bus.DecodeEventMsg(msg)
			if err != nil {
				t.Fatal(err)
			}
			qr, err := w.drawCode(code, msg.Subject())
			if err != nil || len(qr.GetImage()) == 0 {
				t.Fatalf("not drawn: %v", err)
			}
			store(t, conn, testCode(next, time.Minute))

			err = w.publish(t.Context(), msg, code, eventOf(code, qr))
			if d, ok := errors.AsType[dropped](err); !ok || d.why != superseded {
				t.Errorf("publishing the late picture: %v", err)
			}
			if found := picturesStored(t, conn); len(found) > 0 {
				t.Errorf("the stream has a picture at %v", found)
			}
		})
	}
}

// Two members that were given the same code, or one that heard no answer, store one picture.
func TestThePictureOfACodeIsStoredOnce(t *testing.T) {
	conn := bustest.Conn(t, bustest.Server(t))
	store(t, conn, testCode("2@code", time.Minute))
	msg := delivered(t, conn)
	code, err := bus.DecodeEventMsg(msg)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w := testWorker(t, conn)
		qr, err := w.drawCode(code, msg.Subject())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.publish(t.Context(), msg, code, eventOf(code, qr)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found := picturesStored(t, conn); len(found) != 1 {
		t.Errorf("pictures at %v, want one", found)
	}
}

// fakeStream answers publishes with the errors in turn, then with success.
type fakeStream struct {
	answers []error
	ids     []string
}

func (f *fakeStream) PublishMsg(_ context.Context, m *nats.Msg, _ ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	f.ids = append(f.ids, m.Header.Get(jetstream.MsgIDHeader))
	if len(f.answers) == 0 {
		return &jetstream.PubAck{}, nil
	}
	err := f.answers[0]
	f.answers = f.answers[1:]
	return nil, err
}

// fakeMsg is a delivered code; only what publish needs of it is there.
type fakeMsg struct {
	jetstream.Msg
	alive int
}

func (m *fakeMsg) Subject() string   { return bus.EventSubject(testInstance, instance.KindCode) }
func (m *fakeMsg) InProgress() error { m.alive++; return nil }

func refusal(code jetstream.ErrorCode) error {
	return fmt.Errorf("publish: %w", &jetstream.APIError{Code: 400, ErrorCode: code})
}

func TestAnUnknownOutcomeIsRetriedWithTheSameID(t *testing.T) {
	other := errors.New("refused for another reason")
	for name, c := range map[string]struct {
		answers  []error
		attempts int
		want     error
	}{
		"success":               {nil, 1, nil},
		"in flight":             {[]error{refusal(10164), refusal(10158)}, 3, nil},
		"no answer":             {[]error{context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders}, 4, nil},
		"stream full":           {[]error{refusal(10077), refusal(10047)}, 3, nil},
		"superseded":            {[]error{refusal(10071)}, 1, dropped{superseded}},
		"lost answer":           {[]error{nats.ErrTimeout, refusal(10071)}, 2, dropped{superseded}},
		"another reason":        {[]error{other}, 1, other},
		"silence until it dies": {slices.Repeat([]error{nats.ErrTimeout}, 1000), 0, dropped{expired}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, err := newMetrics(nil)
				if err != nil {
					t.Fatal(err)
				}
				stream, msg := &fakeStream{answers: c.answers}, &fakeMsg{}
				w := &worker{events: stream, metrics: m, log: zap.NewNop()}
				code := testCode("2@code", 20*time.Second)
				if err := w.publish(t.Context(), msg, code, eventOf(code, &pb.Qr{Code: "2@code"})); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				if c.attempts > 0 && len(stream.ids) != c.attempts {
					t.Errorf("%d attempts, want %d", len(stream.ids), c.attempts)
				}
				if msg.alive < len(stream.ids)-1-1 {
					t.Errorf("%d signs of life in %d attempts", msg.alive, len(stream.ids))
				}
				if ids := slices.Compact(stream.ids); len(ids) != 1 || ids[0] != bus.DerivedEventID(code.GetId(), instance.KindQR) {
					t.Errorf("ids %v", ids)
				}
			})
		})
	}
}
