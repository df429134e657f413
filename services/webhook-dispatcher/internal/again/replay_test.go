package again_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/again"
	"pairgate.dev/services/webhook-dispatcher/internal/format"
	"pairgate.dev/services/webhook-dispatcher/internal/history"
	"pairgate.dev/services/webhook-dispatcher/internal/owed"
	"pairgate.dev/services/webhook-dispatcher/internal/policy"
)

func TestAReplayGoesOnWhereItStoppedAndLeavesTheRestToTheRouter(t *testing.T) {
	bustest.CheckGoroutines(t)
	ctx := context.Background()
	conn := bustest.Conn(t, bustest.Server(t))
	want := map[instance.ID][]uint64{}
	ids := []instance.ID{instance.ID(uuid.Must(uuid.NewV7()).String()), instance.ID(uuid.Must(uuid.NewV7()).String())}
	at, err := bus.ReadRolePosition(ctx, conn, bus.RoleRouter)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		id := ids[n%2]
		m, err := bus.EncodeEvent(&pb.Event{Id: bus.NewEventID(), Kind: string(instance.KindStatus), Time: timestamppb.Now(),
			Instance: &pb.InstanceRef{Id: string(id)}, Body: &pb.Event_Status{Status: &pb.Status{Phase: string(instance.Idle)}}})
		if err != nil {
			t.Fatal(err)
		}
		ack, err := conn.JetStream().PublishMsg(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		if n < 8 {
			want[id], at.Sequence = append(want[id], ack.Sequence), ack.Sequence
		}
	}
	position, err := at.Message(bus.RoleRouter, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.JetStream().PublishMsg(ctx, position); err != nil {
		t.Fatal(err)
	}
	past, err := history.New(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	a, err := again.New(ctx, again.Options{Conn: conn, History: past, Log: zap.NewNop(),
		Formats: format.Formats{instance.FormatNative: format.Native{Delivery: policy.Native()}}})
	if err != nil {
		t.Fatal(err)
	}
	q := again.Replay{Hook: &pb.Webhook{Id: uuid.NewString(), Enabled: true}, Since: time.Now().Add(-time.Hour), Limit: 3}
	var sizes []uint64
	for {
		reply, err := a.Replay(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, reply.GetDeliveries())
		if reply.GetContinueSince() == nil {
			break
		}
		q.Since = reply.GetContinueSince().AsTime()
	}
	if !slices.Equal(sizes, []uint64{3, 3, 2}) {
		t.Fatalf("replays of %v", sizes)
	}
	for _, id := range ids {
		if got := lane(t, conn, q.Hook.GetId(), id); !slices.Equal(got, want[id]) {
			t.Errorf("lane of %s: %v, want %v", id, got, want[id])
		}
	}
}

// lane returns the events that a lane is owed, in its order.
func lane(t *testing.T, conn *bus.Conn, hook string, id instance.ID) (events []uint64) {
	t.Helper()
	err := history.Scan(t.Context(), conn.JetStream(), bus.StreamDeliveries, jetstream.ConsumerConfig{FilterSubjects: []string{bus.LaneSubject(hook, id)}},
		func(m jetstream.Msg, _ *jetstream.MsgMetadata) bool {
			o, err := owed.Decode(m.Subject(), m.Data())
			if err != nil {
				t.Error(err)
				return false
			}
			events = append(events, o.GetSequence())
			return true
		})
	if err != nil {
		t.Fatal(err)
	}
	return events
}
