package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

func sequences(events []*pb.Event) []uint64 {
	var s []uint64
	for _, ev := range events {
		s = append(s, ev.GetSequence())
	}
	return s
}

func TestRecentEventsFillThemselvesFromTheStream(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	id, other := newID(), newID()
	for range 3 {
		publishEvent(t, c, statusEvent(id, instance.Offline, 1))
	}
	publishEvent(t, c, statusEvent(other, instance.Offline, 1))
	r := views(t, c).Events
	ready(t, r.Ready())
	if events, ok := r.Since(0); !ok || !slices.Equal(sequences(events), []uint64{1, 2, 3, 4}) {
		t.Errorf("since 0: %v (%v)", sequences(events), ok)
	}
	if events, ok := r.Since(2); !ok || !slices.Equal(sequences(events), []uint64{3, 4}) {
		t.Errorf("since 2: %v (%v)", sequences(events), ok)
	}
	if events, ok := r.Since(4); !ok || len(events) != 0 {
		t.Errorf("since the last: %v (%v)", sequences(events), ok)
	}
	if _, ok := r.Since(5); ok {
		t.Error("a sequence of the future is known")
	}
	var all, one heard
	backlog, ok, cancel := r.Subscribe(1, other, one.add)
	if !ok || !slices.Equal(sequences(backlog), []uint64{4}) {
		t.Errorf("of the instance since 1: %v (%v)", sequences(backlog), ok)
	}
	_, ok, cancelAll := r.Subscribe(99, "", all.add)
	if ok {
		t.Error("a subscriber from the future is told that it misses nothing")
	}
	publishEvent(t, c, statusEvent(id, instance.Online, 1))
	publishEvent(t, c, statusEvent(other, instance.Online, 1))
	bustest.CheckFor(t, bustestWait, func() error { return errors.Join(one.are(6), all.are(5, 6)) })
	cancel()
	cancel()
	cancelAll()
	publishEvent(t, c, statusEvent(other, instance.Online, 1))
	bustest.CheckFor(t, bustestWait, func() error {
		if events, ok := r.Since(6); !ok || len(events) != 1 {
			return fmt.Errorf("since 6: %d (%v)", len(events), ok)
		}
		return nil
	})
	if err := errors.Join(one.are(6), all.are(5, 6)); err != nil {
		t.Error("after cancel: ", err)
	}
}

// No subscriber may miss an event between its backlog and the live events, or
// see one twice.
func TestRecentEventsHaveNoHoleBetweenBacklogAndLive(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	r := views(t, c).Events
	id := newID()
	const n = 60
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for range n {
			publishEvent(t, c, statusEvent(id, instance.Offline, 1))
		}
	})
	ready(t, r.Ready())
	var want []uint64
	for i := range n {
		want = append(want, uint64(i+1))
	}
	hs := make([]*heard, 10)
	for i := range hs {
		hs[i] = new(heard)
		hs[i].mu.Lock() // what comes live waits until the backlog is noted
		backlog, ok, cancel := r.Subscribe(0, "", hs[i].add)
		t.Cleanup(cancel)
		if !ok {
			t.Error("since the start: not known")
		}
		hs[i].sequences = append(sequences(backlog), hs[i].sequences...)
		hs[i].mu.Unlock()
	}
	publisher.Wait()
	for _, h := range hs {
		bustest.CheckFor(t, bustestWait, func() error { return h.are(want...) })
	}
}

func TestRecentEventsForgetTheOldestWhenFull(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	id := newID()
	const pictures = 40
	send := func(from int) (last uint64) {
		for i := range pictures {
			last = publishEvent(t, c, pictureEvent(id, "A", 1, uint64(from+i), make([]byte, 1<<10)))
		}
		return last
	}
	first := publishEvent(t, c, statusEvent(id, instance.Pairing, 1))
	send(1)
	r := views(t, c).Events
	r.SetLimits(time.Hour, 20<<10)
	ready(t, r.Ready())
	full := func(last uint64) {
		t.Helper()
		bustest.CheckFor(t, bustestWait, func() error {
			if _, ok := r.Since(last); !ok {
				return errors.New("the last event is not there yet")
			}
			return nil
		})
		oldest := r.Oldest()
		if oldest <= last-pictures || oldest >= last {
			t.Errorf("the oldest is %d of %d", oldest, last)
		}
		if _, ok := r.Since(oldest - 1); ok {
			t.Error("older than the oldest is known")
		}
		if events, ok := r.Since(oldest); !ok || uint64(len(events)) != last-oldest {
			t.Errorf("since the oldest: %d events (%v), want %d", len(events), ok, last-oldest)
		}
	}
	full(first + pictures)
	last := send(pictures + 1)
	full(last)

	var read []uint64
	note := func(ev *pb.Event) error {
		read = append(read, ev.GetSequence())
		return nil
	}
	for _, of := range []instance.ID{id, ""} {
		read = nil
		upTo, err := r.CatchUp(t.Context(), first, of, note)
		// 64 messages of a subject are kept.
		if err != nil || upTo != last || len(read) != 64 || read[len(read)-1] != last || !slices.IsSorted(read) {
			t.Errorf("caught up to %d with %v: %v", upTo, read, err)
		}
		if _, ok := r.Since(upTo); !ok {
			t.Error("the end of a catch-up is not known to the ring")
		}
	}
	for _, unknown := range []uint64{0, first + 1, last + 10} {
		if _, err := r.CatchUp(t.Context(), unknown, "", note); !errors.Is(err, bus.ErrUnknownSequence) {
			t.Errorf("from sequence %d, which is not there: %v", unknown, err)
		}
	}
	stop := errors.New("enough")
	if _, err := r.CatchUp(t.Context(), first, "", func(*pb.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error of the callback became %v", err)
	}
}

func TestRecentEventsForgetWhatIsOld(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	id := newID()
	var mu sync.Mutex
	now := time.Now()
	r := views(t, c).Events
	r.SetEventClock(func() time.Time { mu.Lock(); defer mu.Unlock(); return now })
	ready(t, r.Ready())
	seq := publishEvent(t, c, statusEvent(id, instance.Online, 1))
	bustest.CheckFor(t, bustestWait, func() error {
		if events, ok := r.Since(seq - 1); !ok || len(events) != 1 {
			return fmt.Errorf("%d events (%v)", len(events), ok)
		}
		return nil
	})
	mu.Lock()
	now = now.Add(11 * time.Minute)
	mu.Unlock()
	bustest.CheckFor(t, bustestWait, func() error {
		if _, ok := r.Since(seq - 1); ok {
			return errors.New("an old event is kept")
		}
		return nil
	})
	if events, ok := r.Since(seq); !ok || len(events) != 0 {
		t.Errorf("since the last: %d events (%v)", len(events), ok)
	}
}

func TestRecentEventsStartOverWithTheStream(t *testing.T) {
	bustest.CheckGoroutines(t)
	c := bustest.Conn(t, bustest.Server(t))
	id := newID()
	for range 10 {
		publishEvent(t, c, statusEvent(id, instance.Offline, 1))
	}
	r := views(t, c).Events
	ready(t, r.Ready())
	if err := c.JetStream().DeleteStream(t.Context(), bus.StreamEvents); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{}); err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, bustestWait, func() error {
		if _, ok := r.Since(9); ok {
			return errors.New("a sequence of the old stream is known")
		}
		return nil
	})
	seq := publishEvent(t, c, statusEvent(id, instance.Offline, 1))
	bustest.CheckFor(t, bustestWait, func() error {
		if events, ok := r.Since(seq - 1); !ok || len(events) != 1 {
			return fmt.Errorf("since %d: %d events (%v)", seq-1, len(events), ok)
		}
		return nil
	})
}
