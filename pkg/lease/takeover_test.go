package lease_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
)

// total sums a counter over its labels.
func total(tb testing.TB, r prometheus.Gatherer, name string) float64 {
	tb.Helper()
	families, err := r.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func wantRound(h *recorder, n int) func() error {
	return func() error {
		if h.count() != n {
			return fmt.Errorf("handler has %d, want %d", h.count(), n)
		}
		return nil
	}
}

// The connection of a killed process is closed by its kernel: nobody answers for it any
// more, and its lease need not expire.
func TestKilledWorkerIsRevoked(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := server(t)
	const ttl = 3 * time.Second // so that expiry is far behind revocation
	ca, cb := bustest.Conn(t, srv, bustest.LeaseTTL(ttl)), bustest.Conn(t, srv, bustest.LeaseTTL(ttl))
	ha, hb := newRecorder(t), newRecorder(t)
	cfg := config(t, "a")
	cfg.ServiceID, _ = service(t, ca)
	cfg.MovesPerSecond = -1
	a := start(t, ca, cfg, ha)
	bustest.CheckFor(t, 10*time.Second, wantOwned(16, a))

	cfg = config(t, "b")
	cfg.ServiceID, _ = service(t, cb)
	metrics := prometheus.NewRegistry()
	cfg.Metrics = metrics
	cfg.MovesPerSecond = -1
	b := start(t, cb, cfg, hb)
	// Only who has been connected for a TTL may judge.
	bustest.CheckFor(t, 10*time.Second, func() error {
		if s := b.Status(); s.LeaseAge < ttl {
			return fmt.Errorf("connected for %v", s.LeaseAge)
		}
		return nil
	})
	ca.NATS().Close()
	bustest.CheckFor(t, 10*time.Second, wantRound(hb, 16))
	if n := total(t, metrics, "pairgate_lease_revocations_total"); n != 1 {
		t.Errorf("%v leases revoked, want 1", n)
	}
	// The dead one, if it were alive, would have stopped by itself.
	bustest.CheckFor(t, 10*time.Second, wantRound(ha, 0))
	if err := ha.whyLost(3); !errors.Is(err, lease.ErrFenced) {
		t.Errorf("lost because of %v", err)
	}
}

// A frozen worker still has its subscriptions; its silence proves nothing.
func TestFrozenWorkerIsNotRevokedButExpires(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := server(t)
	ca, cb := connect(t, srv), connect(t, srv)
	sub, err := ca.NATS().SubscribeSync("$SRV.PING.session-worker.frozen")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	cfg := config(t, "a")
	cfg.ServiceID = "frozen"
	a := start(t, ca, cfg, newRecorder(t))
	bustest.CheckFor(t, 10*time.Second, wantOwned(16, a))
	metrics := prometheus.NewRegistry()
	cfg = config(t, "b")
	cfg.Metrics = metrics
	b := start(t, cb, cfg, newRecorder(t))
	bustest.CheckFor(t, 10*time.Second, func() error {
		if s := b.Status(); s.LeaseAge < ttl {
			return fmt.Errorf("connected for %v", s.LeaseAge)
		}
		return nil
	})
	a.Close() // renews no more; the lease and the subscription stay
	bustest.CheckFor(t, 10*time.Second, wantOwned(16, b))
	if n := total(t, metrics, "pairgate_lease_revocations_total"); n != 0 {
		t.Errorf("%v leases revoked", n)
	}
}

// After an outage every lease has expired, and the holders are about to come back.
func TestColdStartWaitsOneTTLForOwnersNeverSeen(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := server(t)
	conn := connect(t, srv)
	a := start(t, conn, config(t, "a"), newRecorder(t))
	bustest.CheckFor(t, 10*time.Second, wantOwned(16, a))
	a.Close()
	kv, err := conn.KeyValue(t.Context(), bus.BucketWorkers)
	if err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, 10*time.Second, func() error {
		if _, err := kv.Get(t.Context(), bus.WorkerKey("session-worker", "a")); !errors.Is(err, jetstream.ErrKeyNotFound) {
			return fmt.Errorf("the lease is still there: %v", err)
		}
		return nil
	})
	// The marker of the expiry is seen by who follows; remove it, as a longer outage would.
	s, err := conn.JetStream().Stream(t.Context(), bus.BucketStream(bus.BucketWorkers))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	b := start(t, connect(t, srv), config(t, "b"), newRecorder(t))
	bustest.CheckFor(t, 10*time.Second, wantOwned(16, b))
	if d := time.Since(began); d < ttl {
		t.Errorf("taken after %v, before a TTL had passed", d)
	}
}

// The holder of the data directory's lock takes its own back while the old lease is
// still there, under new epochs.
func TestRestartWithLockTakesItsOwnBackAtOnce(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := server(t)
	conn := bustest.Conn(t, srv, bustest.LeaseTTL(time.Minute))
	h := newRecorder(t)
	cfg := config(t, "a")
	cfg.ReclaimOwn = true
	a := start(t, conn, cfg, h)
	bustest.CheckFor(t, 10*time.Second, wantRound(h, 16))
	before := h.epochs()
	a.Close()

	h = newRecorder(t)
	start(t, conn, cfg, h)
	bustest.CheckFor(t, 10*time.Second, wantRound(h, 16))
	for p, e := range h.epochs() {
		if e <= before[p] {
			t.Errorf("partition %v: epoch %d after %d", p, e, before[p])
		}
	}
}

// Without a lock the lease of an earlier process may be that of a live one.
func TestRestartWithoutLockWaitsForExpiry(t *testing.T) {
	bustest.CheckGoroutines(t)
	conn := connect(t, server(t))
	a := start(t, conn, config(t, "a"), newRecorder(t))
	bustest.CheckFor(t, 10*time.Second, wantOwned(16, a))
	renewed := a.Status().LastRenew
	a.Close()
	b := start(t, conn, config(t, "a"), newRecorder(t))
	if d := time.Since(renewed); d < ttl {
		t.Errorf("a second process with the same id started %v after the last renewal of the first", d)
	}
	bustest.CheckFor(t, 10*time.Second, wantOwned(16, b))
}

func TestAnotherKeyStoreIsRefused(t *testing.T) {
	bustest.CheckGoroutines(t)
	conn := connect(t, server(t))
	a := start(t, conn, config(t, "a"), newRecorder(t))
	cfg := config(t, "b")
	cfg.KeyStore = "store-b"
	_, err := lease.Start(t.Context(), conn, cfg, newRecorder(t))
	if !errors.Is(err, lease.ErrKeyStoreMismatch) {
		t.Fatalf("started: %v", err)
	}
	t.Log(err)
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := start(t, conn, cfg, newRecorder(t))
	bustest.CheckFor(t, 10*time.Second, wantOwned(16, b))
}

func TestBadConfigurationIsNamed(t *testing.T) {
	bustest.CheckGoroutines(t)
	conn := connect(t, server(t))
	for name, change := range map[string]func(*lease.Config){
		"kind":       func(c *lease.Config) { c.Kind = "a.b" },
		"worker":     func(c *lease.Config) { c.WorkerID = "" },
		"partitions": func(c *lease.Config) { c.Partitions = 257 },
		"ttl":        func(c *lease.Config) { c.TTL = 3 * time.Second },
		"stream":     func(c *lease.Config) { c.OwnerSubject = nil },
	} {
		cfg := config(t, "a")
		change(&cfg)
		if _, err := lease.Start(t.Context(), conn, cfg, newRecorder(t)); !errors.Is(err, lease.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each role has exactly one owner, in a stream of another kind: no age limit, no
// message TTL, roll-up.
func TestRolesHaveOneOwner(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := server(t)
	role := func(name, worker string) (*lease.Manager, *recorder) {
		cfg := config(t, worker)
		cfg.Kind, cfg.Stream, cfg.Partitions, cfg.KeyStore = name, bus.StreamDeliveries, 1, ""
		cfg.OwnerSubject = func(instance.Partition) string { return bus.RoleSubject(name) }
		h := newRecorder(t)
		return start(t, connect(t, srv), cfg, h), h
	}
	a, ha := role(bus.RoleRouter, "a")
	bustest.CheckFor(t, 10*time.Second, wantOwned(1, a))
	b, hb := role(bus.RoleRouter, "b")
	other, _ := role(bus.RoleProjector, "a")
	bustest.CheckFor(t, 10*time.Second, wantOwned(1, other))
	bustest.CheckFor(t, 10*time.Second, wantOwned(1, a, b))
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, 10*time.Second, wantRound(hb, 1))
	if ha.count() != 0 || b.Owned() != 1 {
		t.Errorf("a has %d, b %d", ha.count(), b.Owned())
	}
}

// The server is away for longer than the lease: the worker stops by itself and takes
// its own back, under new epochs, when the server returns.
func TestOutageFencesAndOwnPartitionsComeBack(t *testing.T) {
	bustest.CheckGoroutines(t)
	dir := t.TempDir()
	options := embedded.Options{StoreDir: dir, Listen: true, User: "u", Password: "p", MaxStore: 16 << 30}
	srv, err := embedded.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Shutdown() })
	conn := bustest.Conn(t, srv, bustest.LeaseTTL(ttl), bustest.With(func(o *bus.Options) {
		o.InProcess, o.URL, o.User, o.Password = nil, srv.URL(), "u", "p"
	}))
	h := newRecorder(t)
	m := start(t, conn, config(t, "a"), h)
	bustest.CheckFor(t, 10*time.Second, wantRound(h, 16))
	before := h.epochs()
	options.Port = port(t, srv)
	srv.Shutdown()
	bustest.CheckFor(t, 10*time.Second, wantRound(h, 0))
	if err := h.whyLost(0); !errors.Is(err, lease.ErrFenced) {
		t.Errorf("lost because of %v", err)
	}
	if _, ok := m.Writer(0); ok || m.Status().Held {
		t.Error("there is a writer, or a lease, in an outage")
	}
	if srv, err = embedded.Start(options); err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, 20*time.Second, wantRound(h, 16))
	for p, e := range h.epochs() {
		if e <= before[p] {
			t.Errorf("partition %v: epoch %d after %d", p, e, before[p])
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := m.Release(ctx); err != nil {
		t.Error(err)
	}
}

func port(tb testing.TB, srv *embedded.Server) int {
	tb.Helper()
	_, p, err := net.SplitHostPort(srv.Addr())
	if err != nil {
		tb.Fatal(err)
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// Gateways know who serves what without owning anything.
func TestObserver(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := server(t)
	conn := connect(t, srv)
	o, err := lease.Observe(connect(t, srv), config(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	<-o.Ready()
	if n := len(o.Unowned()); n != 16 {
		t.Errorf("%d unowned of a fresh stream", n)
	}
	a := start(t, conn, config(t, "a"), newRecorder(t))
	bustest.CheckFor(t, 10*time.Second, func() error {
		if n := len(o.Unowned()); n != 0 {
			return fmt.Errorf("%d unowned", n)
		}
		return nil
	})
	if l, ok := o.OwnerOf(5); !ok || l.Worker != "a" || len(o.Workers()) != 1 {
		t.Errorf("owner %+v, workers %+v", l, o.Workers())
	}
	bustest.CheckFor(t, 10*time.Second, func() error {
		if s := a.Status(); s.Owned != 16 || s.Wanted != 16 || s.Foreign != 0 || s.Unowned != 0 || !s.Held {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, 10*time.Second, func() error {
		if n := len(o.Unowned()); n != 16 {
			return fmt.Errorf("%d unowned", n)
		}
		return nil
	})
}
