package history_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/history"
	"pairgate.dev/services/webhook-dispatcher/internal/journal"
)

func TestNoPageOutgrowsAMessage(t *testing.T) {
	bustest.CheckGoroutines(t)
	conn := bustest.Conn(t, bustest.Server(t))
	hook := uuid.NewString()
	const all = 100
	for n := range all {
		m, err := journal.Attempt(&pb.Delivery{Id: uuid.NewString(), WebhookId: hook, Sequence: uint64(n + 1), State: journal.Delivered,
			LastAttempt: &pb.DeliveryAttempt{Response: strings.Repeat("\x01", 4<<10)}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.JetStream().PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	r, err := history.New(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	want := uint64(all)
	for q := (history.Query{Endpoint: hook, Size: all}); ; {
		page, next, err := r.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		body, err := bus.EncodeJSON(&pb.ListDeliveriesReply{Deliveries: page})
		if err != nil || len(body) > 1<<20 || len(page) == 0 {
			t.Fatalf("%d deliveries in %d bytes: %v", len(page), len(body), err)
		}
		for _, d := range page {
			if d.GetSequence() != want {
				t.Fatalf("event %d, want %d", d.GetSequence(), want)
			}
			want--
		}
		if q.Before = next; next == 0 {
			break
		}
	}
	if want != 0 {
		t.Fatalf("%d were left out", want)
	}
}
