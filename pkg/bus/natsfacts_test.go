package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
)

// These tests are about the server, not about our code: the design stands on
// each of these facts, and an upgrade that changes one must fail here.

// tryStore publishes a message and returns what the server says.
func tryStore(t *testing.T, c *bus.Conn, subject string, header map[string]string, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	t.Helper()
	m := nats.NewMsg(subject)
	m.Data = []byte("{}")
	for k, v := range header {
		m.Header.Set(k, v)
	}
	return c.JetStream().PublishMsg(t.Context(), m, opts...)
}

func mustStore(t *testing.T, c *bus.Conn, subject string, header map[string]string, opts ...jetstream.PublishOpt) uint64 {
	t.Helper()
	ack, err := tryStore(t, c, subject, header, opts...)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return ack.Sequence
}

func never() map[string]string { return map[string]string{jetstream.MsgTTLHeader: bus.TTLNever} }

func TestFactTTLNeverOutlivesMaxAge(t *testing.T) {
	t.Parallel()
	c := bustest.Conn(t, bustest.Server(t), bustest.WithoutStreams())
	events := bus.Declaration(bus.EnsureOptions{})[0]
	events.MaxAge, events.Duplicates = time.Second, time.Second
	s, err := c.JetStream().CreateStream(t.Context(), events)
	if err != nil {
		t.Fatal(err)
	}
	mustStore(t, c, bus.OwnerSubject(1), never())
	mustStore(t, c, bus.EventSubject(testID, "status"), never())
	mustStore(t, c, bus.EventSubject(testID, "created"), nil)
	bustest.CheckFor(t, 20*time.Second, func() error {
		if _, err := s.GetLastMsgForSubject(t.Context(), bus.EventSubject(testID, "created")); !errors.Is(err, jetstream.ErrMsgNotFound) {
			return fmt.Errorf("the message without TTL has not aged out: %v", err)
		}
		return nil
	})
	for _, subject := range []string{bus.OwnerSubject(1), bus.EventSubject(testID, "status")} {
		if _, err := s.GetLastMsgForSubject(t.Context(), subject); err != nil {
			t.Errorf("%s: %v", subject, err)
		}
	}
}

// fenceFacts are the same on one node and on three.
func fenceFacts(t *testing.T, c *bus.Conn) {
	status := bus.EventSubject(testID, "status")
	owner := bus.OwnerSubject(testID.Partition())
	first := mustStore(t, c, owner, never())
	fence := func(epoch uint64) jetstream.PublishOpt {
		return jetstream.WithExpectLastSequenceForSubject(epoch, owner)
	}
	id := func(s string) jetstream.PublishOpt { return jetstream.WithMsgID(s) }

	stored := mustStore(t, c, status, never(), fence(first), id("a"))
	again, err := tryStore(t, c, status, never(), fence(first), id("a"))
	if err != nil || !again.Duplicate || again.Sequence != stored {
		t.Errorf("a write sent again: %+v, %v; want Duplicate at %d", again, err, stored)
	}

	second := mustStore(t, c, owner, never(), jetstream.WithExpectLastSequencePerSubject(first))
	if _, err := tryStore(t, c, status, never(), fence(first), id("b")); !bus.IsStale(err) || bus.IsRetryable(err) {
		t.Errorf("the old owner's write: %v; want stale", err)
	}
	if _, err := tryStore(t, c, owner, never(), jetstream.WithExpectLastSequencePerSubject(first)); !bus.IsStale(err) {
		t.Errorf("a take-over that comes too late: %v; want stale", err)
	}
	mustStore(t, c, status, never(), fence(second), id("c"))
}

func TestFactFencedWrites(t *testing.T) {
	t.Parallel()
	fenceFacts(t, bustest.Conn(t, bustest.Server(t)))
}

func TestFactsOfACluster(t *testing.T) {
	nodes := bustest.Cluster(t, 3)
	c := nodes.Conn(t)
	if got := info(t, c, bus.StreamEvents).Config.Replicas; got != 3 {
		t.Fatalf("%d replicas", got)
	}
	if ttl, err := c.LeaseTTL(t.Context()); err != nil || ttl != bus.LeaseTTLReplicated {
		t.Fatalf("lease TTL %v, %v", ttl, err)
	}
	t.Run("FencedWrites", func(t *testing.T) { fenceFacts(t, c) })

	// With replicas, only one fenced write may be in flight for each fence: others
	// are refused with an error that means retry, never with the one that means lost.
	t.Run("WriteInFlightMeansRetry", func(t *testing.T) {
		owner := bus.OwnerSubject(200)
		epoch := mustStore(t, c, owner, never())
		var mu sync.Mutex
		inFlight := 0
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 50 {
					id := fmt.Sprintf("w%d-%d", w, i)
					for {
						_, err := tryStore(t, c, bus.EventSubject(testID, "status"), never(),
							jetstream.WithExpectLastSequenceForSubject(epoch, owner), jetstream.WithMsgID(id))
						if err == nil {
							break
						}
						if !bus.IsRetryable(err) {
							t.Errorf("%s: %v", id, err)
							return
						}
						if bus.IsWriteInFlight(err) {
							mu.Lock()
							inFlight++
							mu.Unlock()
						}
					}
				}
			})
		}
		wg.Wait()
		if inFlight == 0 {
			t.Error("no write was refused because another was in flight; one writer per partition may not be needed any more")
		}
	})

	t.Run("NodeKilledAndBack", func(t *testing.T) {
		leader := nodes.StreamLeader(bus.StreamEvents)
		if leader < 0 {
			t.Fatal("EVENTS has no leader")
		}
		nodes.KillNode(leader)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		bustest.CheckFor(t, time.Minute, func() error {
			m := nats.NewMsg(bus.EventSubject(testID, "status"))
			m.Header.Set(jetstream.MsgTTLHeader, bus.TTLNever)
			// A write that was on its way to the dead leader is never answered.
			attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			_, err := c.JetStream().PublishMsg(attempt, m, jetstream.WithMsgID("after the kill"))
			return err
		})
		nodes.Restart(leader)
		if _, err := bus.Ensure(ctx, c, bus.EnsureOptions{Replicas: 3}); err != nil {
			t.Error(err)
		}
	})
}

func TestFactRepublishCarriesSequences(t *testing.T) {
	t.Parallel()
	c := bustest.Conn(t, bustest.Server(t), bustest.LeaseTTL(time.Second))
	events, err := c.NATS().SubscribeSync(bus.LiveEvents)
	if err != nil {
		t.Fatal(err)
	}
	leases, err := c.NATS().SubscribeSync(bus.LiveBucket(bus.BucketWorkers))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leases.Unsubscribe() }() // draining would wait for what nobody reads
	if err := c.NATS().Flush(); err != nil {
		t.Fatal(err)
	}

	status := bus.EventSubject(testID, "status")
	first := mustStore(t, c, status, never())
	mustStore(t, c, bus.OwnerSubject(1), never())
	second := mustStore(t, c, status, never())
	want := []struct {
		subject        string
		sequence, last uint64
	}{{status, first, 0}, {bus.OwnerSubject(1), first + 1, 0}, {status, second, first}}
	for _, w := range want {
		m, err := events.NextMsg(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != bus.LiveSubject(w.subject) || m.Header.Get(bus.HeaderSubject) != w.subject ||
			m.Header.Get(bus.HeaderSequence) != strconv.FormatUint(w.sequence, 10) ||
			m.Header.Get(bus.HeaderLastSequence) != strconv.FormatUint(w.last, 10) || m.Header.Get(bus.HeaderStream) != bus.StreamEvents {
			t.Errorf("%s: headers %v, want %+v", m.Subject, m.Header, w)
		}
	}

	// Renewals and the end of a lease are published again too.
	kv, err := c.KeyValue(t.Context(), bus.BucketWorkers)
	if err != nil {
		t.Fatal(err)
	}
	key := bus.WorkerKey("session-worker", "w1")
	rev, err := kv.Create(t.Context(), key, []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Update(t.Context(), key, []byte("2"), rev); err != nil {
		t.Fatal(err)
	}
	for i, reason := range []string{"", "", "MaxAge"} {
		m, err := leases.NextMsg(20 * time.Second)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if m.Header.Get(bus.HeaderMarkerReason) != reason || m.Header.Get(bus.HeaderSubject) != bus.BucketSubject(bus.BucketWorkers, key) {
			t.Errorf("message %d: %v", i, m.Header)
		}
	}
	if _, err := kv.Get(t.Context(), key); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("an expired lease: %v", err)
	}
	if _, err := kv.Create(t.Context(), key, []byte("3")); err != nil {
		t.Errorf("a lease over an expiry marker: %v", err)
	}
}

func TestFactUpdateRenewsALeaseOfABucketWithTTL(t *testing.T) {
	t.Parallel()
	c := bustest.Conn(t, bustest.Server(t), bustest.LeaseTTL(time.Second))
	kv, err := c.KeyValue(t.Context(), bus.BucketWorkers)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := kv.Create(t.Context(), "w.k.a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Create(t.Context(), "w.k.b", nil); err != nil {
		t.Fatal(err)
	}
	// Renewing a until b has expired shows that a was renewed, and that it still ends.
	bustest.CheckFor(t, 20*time.Second, func() error {
		next, err := kv.Update(t.Context(), "w.k.a", nil, rev)
		if err != nil {
			t.Fatalf("renewing: %v", err)
		}
		rev = next
		if _, err := kv.Get(t.Context(), "w.k.b"); err == nil {
			return errors.New("the lease that nobody renews is still there")
		}
		return nil
	})
	bustest.CheckFor(t, 20*time.Second, func() error {
		if _, err := kv.Get(t.Context(), "w.k.a"); err == nil {
			return errors.New("updating made the lease immortal")
		}
		return nil
	})
}

func TestFactDirectReadsAreOff(t *testing.T) {
	t.Parallel()
	c := bustest.Conn(t, bustest.Server(t))
	for _, stream := range []string{bus.StreamEvents, bus.BucketStream(bus.BucketInstances), bus.BucketStream(bus.BucketWorkers)} {
		_, err := c.NATS().Request("$JS.API.DIRECT.GET."+stream, []byte(`{"seq":1}`), 5*time.Second)
		if !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: a direct read got %v", stream, err)
		}
	}
}

func TestFactAFullStreamKeepsOwnerRecords(t *testing.T) {
	t.Parallel()
	c := bustest.Conn(t, bustest.Server(t), bustest.MaxBytes(bus.StreamEvents, 64<<10))
	mustStore(t, c, bus.OwnerSubject(1), never())
	bustest.CheckFor(t, 20*time.Second, func() error {
		m := nats.NewMsg(bus.EventSubject(testID, "status"))
		m.Data = make([]byte, 4<<10)
		_, err := c.JetStream().PublishMsg(t.Context(), m)
		if !bus.IsStreamFull(err) || bus.IsRetryable(err) {
			return fmt.Errorf("not full yet: %v", err)
		}
		return nil
	})
	s, err := c.JetStream().Stream(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.GetLastMsgForSubject(t.Context(), bus.OwnerSubject(1)); err != nil {
		t.Errorf("the owner record: %v", err)
	}
}

func TestFactRollUpKeepsOneOwnerRecordAndItsFence(t *testing.T) {
	t.Parallel()
	c := bustest.Conn(t, bustest.Server(t))
	owner := bus.LaneOwnerSubject(3)
	var epoch uint64
	for range 3 {
		epoch = mustStore(t, c, owner, map[string]string{"Nats-Rollup": "sub"}, jetstream.WithExpectLastSequencePerSubject(epoch))
	}
	if n := info(t, c, bus.StreamDeliveries).State.Msgs; n != 1 {
		t.Errorf("%d owner records", n)
	}
	lane := bus.LaneSubject("wh", testID)
	mustStore(t, c, lane, nil, jetstream.WithExpectLastSequenceForSubject(epoch, owner))
	if _, err := tryStore(t, c, lane, nil, jetstream.WithExpectLastSequenceForSubject(epoch-1, owner)); !bus.IsStale(err) {
		t.Errorf("an old epoch: %v", err)
	}
}
