package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

func newID() instance.ID { return instance.ID(uuid.Must(uuid.NewV7()).String()) }

func event(id instance.ID, kind instance.Kind) *pb.Event {
	return &pb.Event{Id: bus.NewEventID(), Kind: string(kind), Time: timestamppb.Now(), Instance: &pb.InstanceRef{Id: string(id)}}
}

func statusEvent(id instance.ID, phase instance.Phase, attempt uint64) *pb.Event {
	ev := event(id, instance.KindStatus)
	ev.Attempt = attempt
	ev.Body = &pb.Event_Status{Status: &pb.Status{Phase: string(phase), Attempt: attempt}}
	return ev
}

func codeEvent(id instance.ID, text string, attempt, number uint64, life time.Duration) *pb.Event {
	ev := event(id, instance.KindCode)
	ev.Attempt = attempt
	ev.Body = &pb.Event_Code{Code: &pb.Qr{Code: text, Attempt: attempt, Sequence: number, ExpiresAt: timestamppb.New(time.Now().Add(life))}}
	return ev
}

func pictureEvent(id instance.ID, text string, attempt, number uint64, image []byte) *pb.Event {
	ev := event(id, instance.KindQR)
	ev.Attempt = attempt
	ev.Body = &pb.Event_Qr{Qr: &pb.Qr{Code: text, Image: image, Attempt: attempt, Sequence: number, ExpiresAt: timestamppb.New(time.Now().Add(time.Minute))}}
	return ev
}

func publishEvent(t testing.TB, c *bus.Conn, ev *pb.Event) uint64 {
	t.Helper()
	m, err := bus.EncodeEvent(ev)
	if err != nil {
		t.Fatal(err)
	}
	ack, err := c.JetStream().PublishMsg(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return ack.Sequence
}

func views(t testing.TB, c *bus.Conn) *bus.Views {
	t.Helper()
	v := bus.NewViews(c, nil)
	t.Cleanup(v.Close)
	return v
}

// heard collects the sequences of the events that a subscriber is told of.
type heard struct {
	mu        sync.Mutex
	sequences []uint64
}

func (h *heard) add(ev *pb.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sequences = append(h.sequences, ev.GetSequence())
}

func (h *heard) all() []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.sequences)
}

func (h *heard) are(want ...uint64) error {
	if got := h.all(); !slices.Equal(got, want) {
		return fmt.Errorf("heard %v, want %v", got, want)
	}
	return nil
}

func TestSessionViewSnapshotThenLive(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	known, later, never := newID(), newID(), newID()
	owner, err := c.JetStream().Publish(t.Context(), bus.OwnerSubject(7), []byte(`{"worker":"w"}`))
	if err != nil {
		t.Fatal(err)
	}
	publishEvent(t, c, statusEvent(known, instance.Connecting, 1))
	publishEvent(t, c, statusEvent(known, instance.Pairing, 1))
	publishEvent(t, c, codeEvent(known, "A", 1, 1, time.Minute))
	publishEvent(t, c, pictureEvent(known, "A", 1, 1, []byte("png")))
	s := views(t, c).Sessions
	ready(t, s.Ready())
	snap := s.Current(known)
	if !snap.Known || snap.Status.Phase != instance.Pairing || snap.Code.GetCode() != "A" || string(snap.QR.GetImage()) != "png" || snap.QRSequence != 5 {
		t.Errorf("the snapshot shows %+v", snap)
	}
	if o, ok := s.OwnerRecord(7); !ok || o.Sequence != owner.Sequence || string(o.Data) != `{"worker":"w"}` || len(s.OwnerRecords()) != 1 {
		t.Errorf("the owner record is %+v (%v)", o, ok)
	}
	if st, ok := s.Status(never); ok || st.Phase != instance.Idle || st.Reason != instance.ReasonCreated || st.Since.IsZero() {
		t.Errorf("an instance without status reads %+v (%v)", st, ok)
	}
	incarnation, err := c.Incarnation(t.Context())
	if err != nil || s.Incarnation() != incarnation {
		t.Errorf("incarnation is %q, want %q (%v)", s.Incarnation(), incarnation, err)
	}

	var all, one heard
	s.Subscribe(all.add)
	cancel := s.SubscribeInstance(later, one.add)
	publishEvent(t, c, statusEvent(known, instance.Syncing, 1))
	seq := publishEvent(t, c, statusEvent(later, instance.Connecting, 1))
	if err := s.WaitSequence(t.Context(), seq); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(all.are(6, 7), one.are(7)); err != nil {
		t.Error(err)
	}
	if snap := s.Current(known); snap.Code != nil || snap.QR != nil || snap.Status.Phase != instance.Syncing {
		t.Errorf("after the scan: %+v", snap)
	}
	cancel()
	cancel()
	seq = publishEvent(t, c, statusEvent(later, instance.Pairing, 1))
	if err := s.WaitSequence(t.Context(), seq); err != nil {
		t.Fatal(err)
	}
	if err := one.are(7); err != nil {
		t.Error("after cancel: ", err)
	}
}

func TestSessionViewUsesItsClock(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	s := views(t, c).Sessions
	var mu sync.Mutex
	now := time.Now()
	s.SetClock(func() time.Time { mu.Lock(); defer mu.Unlock(); return now })
	id := newID()
	publishEvent(t, c, statusEvent(id, instance.Pairing, 1))
	if err := s.WaitSequence(t.Context(), publishEvent(t, c, codeEvent(id, "A", 1, 1, 20*time.Second))); err != nil {
		t.Fatal(err)
	}
	if s.Current(id).Code.GetCode() != "A" {
		t.Error("a live code is not shown")
	}
	mu.Lock()
	now = now.Add(21 * time.Second)
	mu.Unlock()
	if s.Current(id).Code != nil {
		t.Error("an expired code is shown")
	}
}

func TestAwaitReturnsWhenTheEventComes(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	s := views(t, c).Sessions
	id := newID()
	type result struct {
		snap bus.Snapshot
		err  error
	}
	done := make(chan result, 1)
	go func() {
		snap, err := s.Await(t.Context(), id, func(snap bus.Snapshot) bool { return snap.QR != nil })
		done <- result{snap, err}
	}()
	publishEvent(t, c, statusEvent(id, instance.Pairing, 1))
	publishEvent(t, c, codeEvent(id, "A", 1, 1, time.Minute))
	publishEvent(t, c, pictureEvent(id, "A", 1, 1, []byte("png")))
	if r := <-done; r.err != nil || r.snap.QR.GetCode() != "A" {
		t.Errorf("got %+v, %v", r.snap, r.err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if snap, err := s.Await(ctx, id, func(bus.Snapshot) bool { return false }); !errors.Is(err, context.Canceled) || snap.Status.Phase != instance.Pairing {
		t.Errorf("after its end: %+v, %v", snap, err)
	}
}

func TestEventsMissedByRepublishingComeOnceAndInOrder(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	s := views(t, c).Sessions
	ready(t, s.Ready())
	var all heard
	s.Subscribe(all.add)
	ids := []instance.ID{newID(), newID(), newID()}
	var want []uint64
	send := func(n int) {
		for i := range n {
			want = append(want, publishEvent(t, c, statusEvent(ids[i%len(ids)], instance.Offline, uint64(i))))
		}
	}
	send(5)
	on := republish(t, c, bus.StreamEvents, nil)
	send(10)
	republish(t, c, bus.StreamEvents, on)
	send(5)
	republish(t, c, bus.StreamEvents, nil)
	send(150)
	republish(t, c, bus.StreamEvents, on)
	if _, err := c.JetStream().Publish(t.Context(), bus.OwnerSubject(1), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	send(5)
	republish(t, c, bus.StreamEvents, nil)
	send(1)
	bustest.CheckFor(t, 20*time.Second, func() error { return all.are(want...) })
}

func TestEventsSurviveServerRestart(t *testing.T) {
	bustest.CheckGoroutines(t)
	var o embedded.Options
	srv := bustest.Server(t, func(opts *embedded.Options) { bustest.Listen(opts); o = *opts })
	c, err := bus.Connect(t.Context(), bus.Options{Name: "test", URL: srv.URL(), User: o.User, Password: o.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Drain(context.Background()) })
	if _, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{}); err != nil {
		t.Fatal(err)
	}
	s := views(t, c).Sessions
	ready(t, s.Ready())
	var all heard
	s.Subscribe(all.add)
	id := newID()
	var want []uint64
	for range 3 {
		want = append(want, publishEvent(t, c, statusEvent(id, instance.Offline, 1)))
		bustest.CheckFor(t, 20*time.Second, func() error { return all.are(want...) })
		srv = restart(t, srv, o)
		inside, err := bus.Connect(t.Context(), srv.ConnOptions("inside", nil))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 { // written while the view may still be away
			want = append(want, publishEvent(t, inside, statusEvent(id, instance.Online, 1)))
		}
		if err := inside.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		bustest.CheckFor(t, 20*time.Second, func() error { return all.are(want...) })
	}
}

func TestSessionViewStartsOverWhenTheStreamIsMadeAnew(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	s := views(t, c).Sessions
	before, after := newID(), newID()
	for range 5 {
		publishEvent(t, c, statusEvent(before, instance.Online, 1))
	}
	if err := s.WaitSequence(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	incarnation := s.Incarnation()
	if err := c.JetStream().DeleteStream(t.Context(), bus.StreamEvents); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{}); err != nil {
		t.Fatal(err)
	}
	publishEvent(t, c, statusEvent(after, instance.Offline, 1))
	snap, err := s.Await(t.Context(), after, func(snap bus.Snapshot) bool { return snap.Known })
	if err != nil || snap.StatusSequence != 1 {
		t.Fatalf("got %+v, %v", snap, err)
	}
	if _, ok := s.Status(before); ok || s.Incarnation() == incarnation {
		t.Error("what the old stream told is still held")
	}
}

// A view must not lose, repeat or reorder an event when the node that leads the
// stream dies while workers write.
func TestEventsSurviveTheStreamLeader(t *testing.T) {
	bustest.CheckGoroutines(t)
	nodes := bustest.Cluster(t, 3)
	c := nodes.Conn(t)
	s := views(t, c).Sessions
	ready(t, s.Ready())
	var all heard
	s.Subscribe(all.add)
	// Many instances: the stream keeps 64 messages of each, and a gap must not outgrow them.
	ids := make([]instance.ID, 100)
	for i := range ids {
		ids[i] = newID()
	}

	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	t.Cleanup(func() { cancel(); writers.Wait() })
	var mu sync.Mutex
	stored := 0
	for w := range 2 {
		writers.Go(func() {
			for i := w; ctx.Err() == nil; i += 2 {
				m, err := bus.EncodeEvent(statusEvent(ids[i%len(ids)], instance.Offline, uint64(i)))
				if err != nil {
					t.Error(err)
					return
				}
				for ctx.Err() == nil { // the same message until it is stored
					pctx, done := context.WithTimeout(ctx, time.Second)
					_, err := c.JetStream().PublishMsg(pctx, m)
					done()
					if err == nil {
						mu.Lock()
						stored++
						mu.Unlock()
						break
					}
				}
			}
		})
	}
	grow := func() {
		mu.Lock()
		from := stored
		mu.Unlock()
		bustest.CheckFor(t, 60*time.Second, func() error {
			mu.Lock()
			defer mu.Unlock()
			if stored < from+200 {
				return fmt.Errorf("%d stored since %d", stored-from, from)
			}
			return nil
		})
	}
	grow()
	leader := nodes.StreamLeader(bus.StreamEvents)
	nodes.KillNode(leader)
	grow()
	nodes.Restart(leader)
	grow()
	cancel()
	writers.Wait()

	// A write that was under way when the writers ended may still be stored.
	bustest.CheckFor(t, 60*time.Second, func() error {
		stream, err := c.JetStream().Stream(t.Context(), bus.StreamEvents)
		if err != nil {
			return err
		}
		got := all.all()
		for i, seq := range got {
			if seq != uint64(i+1) {
				t.Fatalf("after %d came %d: lost, repeated or out of order", i, seq)
			}
		}
		if last := stream.CachedInfo().State.LastSeq; uint64(len(got)) != last {
			return fmt.Errorf("heard %d of %d", len(got), last)
		}
		return nil
	})
}

func TestEventsWithoutStatusCostNothing(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	const n = 2000
	fill(t, c, n, func(i int) (string, []byte) {
		return bus.EventSubject(newID(), instance.KindCreated), []byte(`{"kind":"created","spec":{"name":"` + strconv.Itoa(i) + `"}}`)
	})
	s := views(t, c).Sessions
	var all heard
	s.Subscribe(all.add)
	ready(t, s.Ready())
	seq := publishEvent(t, c, statusEvent(newID(), instance.Online, 1))
	if err := s.WaitSequence(t.Context(), seq); err != nil {
		t.Fatal(err)
	}
	if err := all.are(seq); err != nil {
		t.Error("what was stored before is told as new: ", err)
	}
}

// A consumer of a reader must not be left behind.
func TestReadersLeaveNoConsumers(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	v := views(t, c)
	publishEvent(t, c, statusEvent(newID(), instance.Online, 1))
	ready(t, v.Events.Ready())
	stream, err := c.JetStream().Stream(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, 10*time.Second, func() error {
		info, err := stream.Info(t.Context())
		if err != nil {
			return err
		}
		if info.State.Consumers != 0 {
			return fmt.Errorf("%d consumers", info.State.Consumers)
		}
		return nil
	})
}
