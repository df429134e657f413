package renderer_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"

	renderer "pairgate.dev/services/qr-renderer"
)

// Members draw while codes are followed and withdrawn: the stream never has a
// picture behind the message that ended its code, on one node and on three.
func TestNoPictureBehindTheEndOfItsCode(t *testing.T) {
	t.Run("one node", func(t *testing.T) {
		srv := bustest.Server(t)
		raceCodes(t, onServer(srv), 200)
	})
	t.Run("three nodes", func(t *testing.T) {
		cluster := bustest.Cluster(t, 3)
		raceCodes(t, func(tb testing.TB) *bus.Conn { return cluster.Conn(tb) }, 60)
	})
}

func raceCodes(t *testing.T, connect func(testing.TB) *bus.Conn, instances int) {
	conn := connect(t)
	members := []*member{start(t, connect, renderer.Config{}), start(t, connect, renderer.Config{})}
	for _, m := range members {
		m.ready(t)
	}
	// Each instance shows three codes and is then scanned, after some round trips,
	// which last about as long as drawing: some pictures come in time, some too late.
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := worker; n < instances; n += 4 {
				for sequence, text := range []string{"2@first", "2@second", "2@third", ""} {
					if text != "" {
						text += fmt.Sprint(n)
					}
					msg, err := bus.EncodeEvent(codeEvent(n, 1, uint64(sequence+1), text, time.Minute))
					if err == nil {
						_, err = conn.JetStream().PublishMsg(t.Context(), msg)
					}
					if err != nil {
						t.Error(err)
						return
					}
					for range n % 8 * 8 {
						if err := conn.NATS().Flush(); err != nil {
							t.Error(err)
						}
					}
				}
			}
		})
	}
	wg.Wait()
	settled(t, conn)

	last := map[string]uint64{} // of each instance's codes
	shown := 0
	for _, e := range stored(t, conn) {
		switch who := e.GetInstance().GetId(); instance.Kind(e.GetKind()) {
		case instance.KindCode:
			last[who] = e.GetSequence()
		case instance.KindQR:
			shown++
			if e.GetCodeSequence() != last[who] {
				t.Errorf("%s: picture %d of code %d stands behind code %d", who, e.GetSequence(), e.GetCodeSequence(), last[who])
			}
		}
	}
	superseded := 0.0
	for _, m := range members {
		superseded += m.value(t, "pairgate_qr_codes_dropped_total", "superseded")
	}
	t.Logf("%d pictures in time, %v too late", shown, superseded)
	if shown+int(superseded) < 3*instances {
		t.Errorf("%d pictures and %v superseded of %d codes", shown, superseded, 3*instances)
	}
}

// stored returns every event in the order of the stream. In a cluster a consumer
// may not be reachable yet right after it was made; then another one is.
func stored(t *testing.T, conn *bus.Conn) (events []*pb.Event) {
	t.Helper()
	bustest.CheckFor(t, 30*time.Second, func() error {
		events = nil
		c, err := conn.JetStream().OrderedConsumer(t.Context(), bus.StreamEvents, jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.AllEvents}})
		if err != nil {
			return err
		}
		info, err := c.Info(t.Context())
		if err != nil {
			return err
		}
		messages, err := c.Fetch(int(info.NumPending), jetstream.FetchMaxWait(10*time.Second))
		if err != nil {
			return err
		}
		for msg := range messages.Messages() {
			e, err := bus.DecodeEventMsg(msg)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		if err := messages.Error(); err != nil || len(events) != int(info.NumPending) {
			return fmt.Errorf("read %d of %d messages: %w", len(events), info.NumPending, err)
		}
		return nil
	})
	return events
}
