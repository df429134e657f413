package lease_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
)

var errEnough = errors.New("enough")

// Whatever was stored before a take-over is seen by its reading, and of each subject
// the last message only.
func TestRoundReadsEverythingBeforeItsBarrier(t *testing.T) {
	bustest.CheckGoroutines(t)
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprintf("R%d", replicas), func(t *testing.T) {
			var conn *bus.Conn
			if replicas == 1 {
				conn = connect(t, server(t))
			} else {
				conn = bustest.Cluster(t, 3).Conn(t, bustest.LeaseTTL(4*time.Second))
			}
			statuses := bus.EventsOfKind(instance.KindStatus)
			m, h := owning(t, conn, nil)

			// Nothing but owner records: the reading ends nevertheless.
			none := func(msg jetstream.Msg) error { return fmt.Errorf("unexpected %s", msg.Subject()) }
			if err := h.rounds[0].Read(t.Context(), []string{statuses}, none); err != nil {
				t.Fatal(err)
			}

			want := map[string]string{}
			for n := range 96 {
				p := instance.Partition(n % 16)
				w := writer(t, m, p)
				var subject string
				for version := range 1 + n%3 {
					msg := message(p, w.Epoch())
					if version > 0 {
						msg.Subject = subject
					}
					subject = msg.Subject
					if _, err := w.Publish(t.Context(), msg); err != nil {
						t.Fatal(err)
					}
					want[subject] = msg.Header.Get(nats.MsgIdHdr)
				}
			}
			if err := m.Release(t.Context()); err != nil {
				t.Fatal(err)
			}

			second := newRecorder(t)
			read := make(chan error, 16)
			got := map[string]string{}
			second.onAcquired = func(ctx context.Context, round lease.Round) {
				read <- round.Read(ctx, []string{statuses}, func(msg jetstream.Msg) error {
					got[msg.Subject()] = msg.Headers().Get(nats.MsgIdHdr)
					return nil
				})
			}
			start(t, conn, config(t, "b"), second)
			if err := <-read; err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Errorf("%d subjects read, want %d", len(got), len(want))
			}
			for s, id := range want {
				if got[s] != id {
					t.Fatalf("%s: read %s, last is %s", s, got[s], id)
				}
			}
		})
	}
}

func TestReadBarrier(t *testing.T) {
	bustest.CheckGoroutines(t)
	conn := connect(t, server(t))
	ctx := t.Context()
	read := func(filters []string, barrier uint64, fn func(jetstream.Msg) error) error {
		return lease.ReadBarrier(ctx, conn, bus.StreamEvents, filters, barrier, fn)
	}
	count := 0
	counting := func(jetstream.Msg) error { count++; return nil }

	if err := read([]string{bus.AllEvents}, 0, counting); err != nil || count != 0 {
		t.Errorf("empty stream: %d messages, %v", count, err)
	}
	for range 10 {
		msg := nats.NewMsg(bus.EventSubject(instance.ID(uuid.NewString()), instance.KindStatus))
		if _, err := conn.JetStream().PublishMsg(ctx, msg); err != nil {
			t.Fatal(err)
		}
	}
	if err := read([]string{bus.AllEvents}, 0, counting); err != nil || count != 10 {
		t.Errorf("without barrier: %d messages, %v", count, err)
	}
	if err := read([]string{bus.AllEvents}, 0, func(jetstream.Msg) error { return errEnough }); !errors.Is(err, errEnough) {
		t.Errorf("fn's error is lost: %v", err)
	}
	// An owner record that is claimed again moves behind the barrier, and ends the reading too.
	usurp(t, conn, 1) // 11
	usurp(t, conn, 1) // 12
	if err := read([]string{bus.AllEvents, bus.AllOwners}, 11, func(jetstream.Msg) error { return nil }); err != nil {
		t.Errorf("claimed again: %v", err)
	}
	if err := read([]string{bus.AllEvents, bus.EventsOfKind(instance.KindStatus)}, 1, counting); err == nil {
		t.Error("overlapping filters were accepted")
	}
	// A barrier that does not come is waited for.
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := lease.ReadBarrier(short, conn, bus.StreamEvents, []string{bus.AllOwners}, 99, counting); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("barrier beyond the end: %v", err)
	}
}
