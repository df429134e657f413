package lease_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
)

const testLevel = zap.ErrorLevel

// On a stream without owner records there is nobody to wait for.
func TestFreshStreamIsClaimedAtOnce(t *testing.T) {
	bustest.CheckGoroutines(t)
	conn := connect(t, server(t))
	h := newRecorder(t)
	cfg := config(t, "a")
	cfg.Partitions = instance.Partitions
	began := time.Now()
	m := start(t, conn, cfg, h)
	bustest.CheckFor(t, 10*time.Second, wantOwned(instance.Partitions, m))
	t.Logf("%d partitions in %v", instance.Partitions, time.Since(began))
	bustest.CheckFor(t, 10*time.Second, func() error {
		if h.count() != instance.Partitions {
			return fmt.Errorf("handler knows of %d", h.count())
		}
		return nil
	})
	h.mu.Lock()
	if len(h.rounds) != 1 {
		t.Errorf("%d rounds, want one", len(h.rounds))
	}
	h.mu.Unlock()
	if err := m.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.count() != 0 || !errors.Is(h.whyLost(7), lease.ErrReleased) {
		t.Errorf("after Release the handler still has %d, lost because of %v", h.count(), h.whyLost(7))
	}
}

// Whatever races, one of three wins each partition, and all of them get some.
func TestThreeWorkersRaceForEachPartition(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := server(t)
	var managers []*lease.Manager
	var handlers []*recorder
	conn := connect(t, srv)
	ready := make(chan *lease.Manager, 3)
	for _, w := range names(3) {
		h := newRecorder(t)
		handlers = append(handlers, h)
		cfg := config(t, w)
		cfg.Partitions = 64
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			m, err := lease.Start(ctx, conn, cfg, h)
			if err != nil {
				t.Error(err)
			}
			ready <- m
		}()
	}
	for range 3 {
		if m := <-ready; m != nil {
			managers = append(managers, m)
			t.Cleanup(m.Close)
		}
	}
	bustest.CheckFor(t, 10*time.Second, wantOwned(64, managers...))
	bustest.CheckFor(t, 10*time.Second, func() error {
		owners := map[instance.Partition]int{}
		for i, h := range handlers {
			if n := h.count(); n < 8 {
				return fmt.Errorf("worker %d has %d of 64", i, n)
			}
			for p := range h.epochs() {
				owners[p]++
			}
		}
		for p, n := range owners {
			if n != 1 {
				return fmt.Errorf("partition %v has %d owners", p, n)
			}
		}
		if len(owners) != 64 {
			return fmt.Errorf("%d partitions have owners", len(owners))
		}
		return nil
	})
	// What each handler believes is what the records say.
	last := ownerRecords(t, conn)
	for i, h := range handlers {
		for p := range h.epochs() {
			if o := last[p][len(last[p])-1]; o.Worker != names(3)[i] || o.Released {
				t.Errorf("partition %v: record names %s, released %v", p, o.Worker, o.Released)
			}
		}
	}
}

// A released partition keeps its record, so that its sequence still fences whoever had it.
func TestGracefulReleaseHandsOverQuickly(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := server(t)
	ca, cb := connect(t, srv), connect(t, srv)
	ha, hb := newRecorder(t), newRecorder(t)
	a := start(t, ca, config(t, "a"), ha)
	bustest.CheckFor(t, 10*time.Second, wantOwned(16, a))
	b := start(t, cb, config(t, "b"), hb)
	bustest.CheckFor(t, 10*time.Second, func() error { // b gets its share by voluntary moves
		if b.Owned() == 0 {
			return errors.New("b has nothing")
		}
		return wantOwned(16, a, b)()
	})

	// While Lost runs, the writer works and the next owner is not let in.
	ha.onLost = func(p instance.Partition, why error) {
		w, ok := a.Writer(p)
		if !ok || !errors.Is(why, lease.ErrReleased) {
			t.Errorf("partition %v lost because of %v, writer %v", p, why, ok)
			return
		}
		if _, err := w.Publish(t.Context(), message(p, w.Epoch())); err != nil {
			t.Errorf("last write of partition %v: %v", p, err)
		}
	}
	before := time.Now()
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, 10*time.Second, wantOwned(16, b))
	t.Logf("handed over in %v", time.Since(before))
	if a.Owned() != 0 {
		t.Errorf("a still owns %d", a.Owned())
	}
	for p, records := range ownerRecords(t, cb) {
		var released int
		for _, o := range records {
			if o.Released {
				released++
			}
		}
		if p < 16 && records[0].Worker != "a" {
			t.Errorf("first record of partition %v is gone", p)
		}
		if records[len(records)-1].Worker != "b" || released == 0 {
			t.Errorf("partition %v: %+v", p, records)
		}
	}
	kv, err := cb.KeyValue(t.Context(), bus.BucketWorkers)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Get(t.Context(), bus.WorkerKey("session-worker", "a")); err == nil {
		t.Error("the lease of a is still there")
	}
}
