package renderer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/service"
	pb "pairgate.dev/proto/pairgate/v1"

	renderer "pairgate.dev/services/qr-renderer"
)

// member is one running renderer.
type member struct {
	metrics *prometheus.Registry
	health  *service.Health
	logs    *observer.ObservedLogs
	stop    func() // ends it, waits, and fails the test unless it drained
}

// start runs a renderer on a connection of its own until it is stopped or the test ends.
func start(t *testing.T, connect func(testing.TB) *bus.Conn, cfg renderer.Config) *member {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	m := &member{metrics: prometheus.NewRegistry(), health: service.NewHealth(), logs: logs}
	conn := connect(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- renderer.Run(ctx, cfg, renderer.Deps{Bus: conn, Log: zap.New(core), Metrics: m.metrics, Health: m.health})
	}()
	m.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run has not returned 20 s after its context ended")
		}
	})
	t.Cleanup(m.stop)
	return m
}

// ready waits until the member takes codes.
func (m *member) ready(t *testing.T) {
	t.Helper()
	bustest.CheckFor(t, 20*time.Second, func() error {
		if reasons := m.health.Reasons(t.Context()); len(reasons) > 0 {
			return fmt.Errorf("not ready: %v", reasons)
		}
		return nil
	})
}

// value returns a counter or gauge, summed over the series that have the label value.
func (m *member) value(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := m.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, series := range f.GetMetric() {
			matches := label == ""
			for _, l := range series.GetLabel() {
				matches = matches || l.GetValue() == label
			}
			if matches {
				sum += series.GetCounter().GetValue() + series.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func onServer(srv *embedded.Server) func(testing.TB) *bus.Conn {
	return func(tb testing.TB) *bus.Conn { return bustest.Conn(tb, srv) }
}

// id returns the n-th instance of the tests.
func id(n int) instance.ID {
	return instance.ID(fmt.Sprintf("0198c0de-0000-7000-8000-%012x", n))
}

// codeEvent is what a worker publishes; text empty withdraws.
func codeEvent(n int, attempt, sequence uint64, text string, life time.Duration) *pb.Event {
	now := time.Now()
	code := &pb.Qr{Code: text, Attempt: attempt, Sequence: sequence, IssuedAt: timestamppb.New(now), ExpiresAt: timestamppb.New(now.Add(life))}
	return &pb.Event{
		Id: bus.NewEventID(), Kind: string(instance.KindCode), Time: timestamppb.New(now), Epoch: 17, Attempt: attempt,
		Instance: &pb.InstanceRef{Id: string(id(n)), Name: fmt.Sprintf("instance %d", n), Number: uint64(9000000000 + n), Provider: string(instance.Simulated)},
		Body:     &pb.Event_Code{Code: code},
	}
}

// publish stores an event as a worker does and returns its sequence.
func publish(t *testing.T, conn *bus.Conn, e *pb.Event) uint64 {
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

// lastPicture returns the last event of kind qr of the instance.
func lastPicture(ctx context.Context, conn *bus.Conn, n int) (*pb.Event, error) {
	stream, err := conn.JetStream().Stream(ctx, bus.StreamEvents)
	if err != nil {
		return nil, err
	}
	raw, err := stream.GetLastMsgForSubject(ctx, bus.EventSubject(id(n), instance.KindQR))
	if err != nil {
		return nil, err
	}
	return bus.DecodeRawEvent(raw)
}

// pictures returns how many pictures of the instance the stream holds.
func pictures(t *testing.T, conn *bus.Conn, n int) uint64 {
	t.Helper()
	stream, err := conn.JetStream().Stream(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	subject := bus.EventSubject(id(n), instance.KindQR)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(subject))
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Subjects[subject]
}

// waitPicture waits for the picture of the code with the given sequence in the stream.
func waitPicture(t *testing.T, conn *bus.Conn, n int, codeSequence uint64) *pb.Event {
	t.Helper()
	var e *pb.Event
	bustest.CheckFor(t, 20*time.Second, func() (err error) {
		e, err = lastPicture(t.Context(), conn, n)
		if err == nil && e.GetCodeSequence() != codeSequence {
			err = fmt.Errorf("the last picture is of code %d, want %d", e.GetCodeSequence(), codeSequence)
		}
		return err
	})
	return e
}

// settled waits until the consumer has nothing that waits or is in hand.
func settled(t *testing.T, conn *bus.Conn) {
	t.Helper()
	bustest.CheckFor(t, 20*time.Second, func() error {
		c, err := conn.JetStream().Consumer(t.Context(), bus.StreamEvents, bus.DurableRenderer)
		if err != nil {
			return err
		}
		info, err := c.Info(t.Context())
		if err != nil {
			return err
		}
		if info.NumPending > 0 || info.NumAckPending > 0 {
			return fmt.Errorf("%d wait, %d in hand", info.NumPending, info.NumAckPending)
		}
		return nil
	})
}

// putRecord stores the record of an instance with the style.
func putRecord(t *testing.T, conn *bus.Conn, n int, style *pb.QrStyle) {
	t.Helper()
	kv, err := conn.KeyValue(t.Context(), bus.BucketInstances)
	if err != nil {
		t.Fatal(err)
	}
	body, err := bus.EncodeJSON(&pb.InstanceRecord{Instance: &pb.Instance{
		Id: string(id(n)), Name: fmt.Sprintf("instance %d", n), Number: uint64(9000000000 + n), Provider: string(instance.Simulated),
		Settings: &pb.InstanceSettings{Qr: style},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), bus.InstanceKey(id(n)), body); err != nil {
		t.Fatal(err)
	}
}

func isNotFound(err error) bool { return errors.Is(err, jetstream.ErrMsgNotFound) }
