package lane_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/lane"
)

// bench drives a machine by hand; time is a number that only tests move.
type bench struct {
	tb  testing.TB
	m   *lane.Machine
	now time.Time
	seq uint64
}

func newBench(tb testing.TB, change func(*lane.Config)) *bench {
	tb.Helper()
	cfg := lane.DefaultConfig()
	cfg.Random = func() float64 { return 0.5 }
	if change != nil {
		change(&cfg)
	}
	return &bench{tb: tb, m: lane.New(cfg), now: time.Unix(1_700_000_000, 0)}
}

func key(endpoint string, n int) lane.Key {
	return lane.Key{Endpoint: endpoint, Instance: instance.ID(uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)).String())}
}

// arrive puts a message of the size on the lane and returns its number.
func (b *bench) arrive(k lane.Key, size int) uint64 {
	b.seq++
	b.m.Arrived(k, &lane.Item{Seq: b.seq, Stored: b.now, Owed: &pb.OwedDelivery{Id: "x", Body: make([]byte, size)}}, false)
	return b.seq
}

func (b *bench) enable(endpoints ...string) {
	for _, e := range endpoints {
		b.m.SetEndpoint(e, lane.Enabled)
	}
}

// next takes everything that can be tried now.
func (b *bench) next() []lane.Work {
	var all []lane.Work
	for {
		w, ok := b.m.Next(b.now)
		if !ok {
			return all
		}
		all = append(all, w)
	}
}

func (b *bench) one() lane.Work {
	b.tb.Helper()
	all := b.next()
	if len(all) != 1 {
		b.tb.Fatalf("%d heads can be tried, want 1", len(all))
	}
	return all[0]
}

func (b *bench) none() {
	b.tb.Helper()
	if all := b.next(); len(all) != 0 {
		b.tb.Fatalf("%d heads can be tried, want none", len(all))
	}
}

func (b *bench) done(w lane.Work) {
	seq := w.From
	if w.Item != nil {
		seq = w.Item.Seq
	}
	b.m.Finished(b.now, w, lane.Outcome{Result: lane.Done, Seq: seq})
}

func (b *bench) fail(w lane.Work, pause time.Duration, fault bool) {
	b.m.Finished(b.now, w, lane.Outcome{Result: lane.Failed, Seq: w.From, Failures: w.Failed + 1, Pause: pause, EndpointFault: fault})
}

func TestALaneIsSerialAndInOrder(t *testing.T) {
	b := newBench(t, nil)
	k := key("a", 1)
	for range 5 {
		b.arrive(k, 10)
	}
	b.none() // not known yet
	b.enable("a")
	for n := range uint64(5) {
		w := b.one()
		if w.Item.Seq != n+1 {
			t.Fatalf("head %d, want %d", w.Item.Seq, n+1)
		}
		b.done(w)
	}
	b.none()
	if s := b.m.Stats(b.now); s != (lane.Stats{}) {
		t.Fatalf("something is left: %+v", s)
	}
}

func TestAFailedHeadHoldsItsLaneAndNoOther(t *testing.T) {
	b := newBench(t, nil)
	bad, good := key("a", 1), key("b", 1)
	first := b.arrive(bad, 10)
	b.arrive(bad, 10)
	b.enable("a")
	w := b.one()
	b.fail(w, time.Minute, false)
	b.arrive(good, 10)
	b.enable("b")
	if w := b.one(); w.Key != good {
		t.Fatalf("%v", w.Key)
	} else {
		b.done(w)
	}
	if at, ok := b.m.Wake(); !ok || at.Sub(b.now) != time.Minute {
		t.Fatalf("wakes in %s", at.Sub(b.now))
	}
	b.now = b.now.Add(time.Minute)
	w = b.one()
	if w.Item != nil || w.From != first || w.To != b.seq-1 || w.Failed != 1 {
		t.Fatalf("%+v", w)
	}
}

func TestAParkedLaneHoldsNoPayload(t *testing.T) {
	b := newBench(t, nil)
	k := key("a", 1)
	b.enable("a")
	b.arrive(k, 1000)
	b.enable("a")
	b.fail(b.one(), time.Hour, true)
	for range 50_000 {
		b.arrive(k, 1000)
	}
	if s := b.m.Stats(b.now); s.BufferedBytes != 0 || s.Lanes != 1 || s.Parked != 1 {
		t.Fatalf("%+v", s)
	}
}

func TestBuffersAreBoundedAndTheRestIsFetched(t *testing.T) {
	b := newBench(t, func(c *lane.Config) { c.Buffer, c.BufferBytes = 4, 3000 })
	k, other := key("a", 1), key("b", 1)
	for range 10 {
		b.arrive(k, 100)
	}
	for range 100 {
		b.arrive(other, 2000)
	}
	b.enable("a")
	if s := b.m.Stats(b.now); s.BufferedBytes > 3000 {
		t.Fatalf("%d bytes held", s.BufferedBytes)
	}
	var held, fetched []uint64
	for range 10 {
		w := b.one()
		if w.Item != nil {
			held = append(held, w.Item.Seq)
		} else {
			fetched = append(fetched, w.From)
		}
		b.done(w)
	}
	if !slices.Equal(held, []uint64{1, 2, 3, 4}) || !slices.Equal(fetched, []uint64{5, 6, 7, 8, 9, 10}) {
		t.Fatalf("held %v, fetched %v", held, fetched)
	}
	b.none()
	// It is live again.
	b.arrive(k, 10)
	if w := b.one(); w.Item == nil {
		t.Fatal("a live lane does not hold what arrives")
	}
}

func TestALaneIsFetchedNoFurtherThanTheFeed(t *testing.T) {
	b := newBench(t, func(c *lane.Config) { c.Buffer = 1 })
	k := key("a", 1)
	b.arrive(k, 1)
	b.arrive(k, 1)
	b.enable("a")
	b.done(b.one())
	w := b.one()
	if w.Item != nil || w.To != 2 {
		t.Fatalf("%+v", w)
	}
	later := b.arrive(k, 1) // while it is being fetched
	b.m.Finished(b.now, w, lane.Outcome{Result: lane.Empty})
	if w = b.one(); w.Item != nil || w.From != 3 || w.To != later {
		t.Fatalf("%+v", w)
	}
}

func TestAnEndpointHasAWindow(t *testing.T) {
	b := newBench(t, nil)
	for n := range 100 {
		b.arrive(key("a", n), 1)
	}
	b.enable("a")
	var sizes []int
	for range 5 {
		all := b.next()
		sizes = append(sizes, len(all))
		for _, w := range all {
			b.done(w)
		}
	}
	if !slices.Equal(sizes, []int{1, 2, 8, 8, 8}) {
		t.Fatalf("windows %v", sizes)
	}
	all := b.next()
	b.fail(all[0], time.Minute, true)
	for _, w := range all[1:] {
		b.m.Finished(b.now, w, lane.Outcome{Result: lane.Trouble, Pause: time.Minute})
	}
	if n := len(b.next()); n != 1 {
		t.Fatalf("after a failure the window is %d", n)
	}
}

func TestStuckEndpointsLeaveSlotsToThoseThatWork(t *testing.T) {
	b := newBench(t, func(c *lane.Config) { c.GlobalLimit = 8 })
	b.arrive(key("good", 0), 1)
	b.enable("good")
	b.done(b.one()) // owed nothing more, but known to work
	for n := range 50 {
		e := fmt.Sprintf("stuck%d", n)
		b.arrive(key(e, n), 1)
		b.enable(e)
	}
	stuck := b.next()
	if len(stuck) != 4 {
		t.Fatalf("%d slots are taken by what nothing is known of, want 4", len(stuck))
	}
	for n := range 100 {
		b.arrive(key("good", n), 1)
		b.done(b.one())
	}
	for _, w := range stuck {
		b.fail(w, time.Second, true)
	}
	stuck = b.next()
	if len(stuck) != 4 {
		t.Fatalf("%d slots are taken by the next ones, want 4", len(stuck))
	}
	b.now = b.now.Add(time.Second)
	if again := b.next(); len(again) != 2 {
		t.Fatalf("%d slots are taken by failing ones, want 2", len(again))
	}
	b.arrive(key("good", 0), 1)
	b.done(b.one())
}

func TestAnEndpointRestsAfterFiveFaults(t *testing.T) {
	b := newBench(t, nil)
	for n := range 100 {
		b.arrive(key("a", n), 1)
	}
	b.enable("a")
	for range 5 {
		b.fail(b.one(), time.Hour, true)
	}
	b.none()
	for _, rest := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
		if at, ok := b.m.Wake(); !ok || at.Sub(b.now) != rest {
			t.Fatalf("rests %s, want %s", at.Sub(b.now), rest)
		}
		b.now = b.now.Add(rest)
		b.fail(b.one(), time.Hour, true) // one head is tried
		b.none()
	}
	b.now = b.now.Add(5 * time.Minute)
	b.done(b.one())
	if n := len(b.next()); n != 2 {
		t.Fatalf("after a success %d are tried", n)
	}
}

// GREEN-API's receivers are asked every minute, however often they have failed.
func TestAnEndpointRestsNoLongerThanItsFormatAllows(t *testing.T) {
	b := newBench(t, func(c *lane.Config) { c.MaxRest = time.Hour })
	b.arrive(key("a", 1), 1)
	b.enable("a")
	for n := range 20 {
		b.m.Finished(b.now, b.one(), lane.Outcome{Result: lane.Failed, Seq: 1, Failures: n + 1, Pause: time.Minute, EndpointFault: true, MaxRest: time.Minute})
		b.now = b.now.Add(59 * time.Second)
		b.none()
		b.now = b.now.Add(time.Second)
	}
	b.done(b.one())
}

func TestAPauseHoldsEveryLaneOfTheEndpoint(t *testing.T) {
	b := newBench(t, nil)
	b.arrive(key("a", 1), 1)
	b.arrive(key("a", 2), 1)
	b.enable("a")
	b.m.Finished(b.now, b.one(), lane.Outcome{Result: lane.Failed, Failures: 1, Pause: time.Minute, EndpointPause: time.Minute})
	b.now = b.now.Add(59 * time.Second)
	b.none()
	b.now = b.now.Add(time.Second)
	if n := len(b.next()); n != 1 {
		t.Fatalf("%d are tried", n)
	}
}

func TestDisabledLanesStayAndGoOn(t *testing.T) {
	b := newBench(t, nil)
	b.arrive(key("a", 1), 1)
	b.m.SetEndpoint("a", lane.Disabled)
	b.none()
	b.enable("a")
	b.done(b.one())
}

func TestForgottenWorkChangesNothing(t *testing.T) {
	b := newBench(t, nil)
	k := key("a", 1)
	b.arrive(k, 1)
	b.enable("a")
	old := b.one()
	b.m.ForgetPartition(instance.PartitionOf("a"))
	b.arrive(k, 1)
	b.enable("a")
	fresh := b.one()
	b.done(old)
	b.none()
	b.done(fresh)
	if s := b.m.Stats(b.now); s != (lane.Stats{}) {
		t.Fatalf("%+v", s)
	}
}

func TestResumedIsToldOnceForALane(t *testing.T) {
	b := newBench(t, nil)
	k := key("a", 1)
	for seq := range uint64(2) {
		b.m.Arrived(k, &lane.Item{Seq: seq + 1, Owed: &pb.OwedDelivery{}}, true)
	}
	b.enable("a")
	w := b.one()
	if !w.Resumed {
		t.Fatal("the first head is not resumed")
	}
	b.done(w)
	if b.one().Resumed {
		t.Fatal("the second head is resumed")
	}
}

// FuzzMachine throws events at a machine and checks what must always hold: a
// lane is never tried twice at a time, numbers of a lane only grow, limits hold,
// and in the end everything is done.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add([]byte{0, 0, 0, 0, 5, 5, 9, 0, 1, 1, 200, 255, 3, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		b := newBench(t, func(c *lane.Config) { c.GlobalLimit, c.EndpointLimit, c.Buffer, c.BufferBytes = 6, 3, 2, 2000 })
		owed := map[lane.Key][]uint64{}
		running := map[lane.Key]lane.Work{}
		take := func() {
			for _, w := range b.next() {
				if _, twice := running[w.Key]; twice {
					t.Fatal("a lane is tried twice at a time")
				}
				running[w.Key] = w
			}
			if len(running) > 6 {
				t.Fatalf("%d in flight", len(running))
			}
		}
		finish := func(k lane.Key, op byte) {
			w := running[k]
			delete(running, k)
			head := owed[k][0]
			if w.Item != nil && w.Item.Seq != head || w.Item == nil && (w.From > head || w.To < head) {
				t.Fatalf("lane %v is at %+v, want %d", k, w, head)
			}
			switch op % 4 {
			case 0:
				b.m.Finished(b.now, w, lane.Outcome{Result: lane.Failed, Seq: head, Failures: w.Failed + 1, Pause: time.Second, EndpointFault: true})
			case 1:
				b.m.Finished(b.now, w, lane.Outcome{Result: lane.Trouble, Pause: time.Second})
			default:
				owed[k] = owed[k][1:]
				b.m.Finished(b.now, w, lane.Outcome{Result: lane.Done, Seq: head})
			}
		}
		endpoints := []string{"a", "b", "c"}
		for _, op := range script {
			k := key(endpoints[int(op)%3], int(op/3)%4)
			switch {
			case op < 128:
				owed[k] = append(owed[k], b.arrive(k, int(op)*10))
				b.enable(k.Endpoint)
			case op < 200:
				for k := range running {
					finish(k, op)
					break
				}
			default:
				b.now = b.now.Add(time.Duration(op) * time.Second)
			}
			take()
		}
		for range 100_000 {
			for k := range running {
				finish(k, 2)
			}
			b.now = b.now.Add(time.Hour)
			take()
			if len(running) == 0 {
				break
			}
		}
		for k, left := range owed {
			if len(left) > 0 {
				t.Fatalf("lane %v is stuck with %v", k, left)
			}
		}
		if s := b.m.Stats(b.now.Add(time.Hour)); s.Lanes != 0 || s.InFlight != 0 || s.BufferedBytes != 0 || s.Parked != 0 {
			t.Fatalf("left over: %+v", s)
		}
	})
}

func TestWhatWaitsIsTriedAtOnceWhenTheEndpointIsChanged(t *testing.T) {
	b := newBench(t, func(c *lane.Config) { c.RestAfter = 1 })
	for n := range 3 {
		b.arrive(key("a", n), 1)
	}
	b.enable("a")
	for range 3 {
		b.fail(b.one(), 16*time.Hour, false)
	}
	b.arrive(key("a", 9), 1)
	b.fail(b.one(), 16*time.Hour, true) // and now it rests
	b.none()
	b.m.Changed("a")
	for range 4 {
		w := b.one()
		if w.Failed != 1 {
			t.Fatalf("the head has failed %d times", w.Failed)
		}
		b.fail(w, time.Hour, false)
	}
	b.none()
	if s := b.m.Stats(b.now); s.Parked != 4 || s.Lanes != 4 {
		t.Fatalf("%+v", s)
	}
	b.now = b.now.Add(time.Hour)
	b.done(b.one())
	b.m.Changed("unknown")
}
