package gateway_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	gateway "pairgate.dev/services/gateway"
)

func TestDrainEndsStreamsAndWaitsAndFinishesRequests(t *testing.T) {
	w := start(t)
	m := w.make("one")
	s := w.events(m.path+"/events", m.token, "")
	waiting := make(chan answer, 2)
	stored := make(chan struct{}, 2)
	release := make(chan struct{})
	w.registry.after = func(_ instance.ID, request uint64) {
		stored <- struct{}{}
		if request == 2 {
			<-release
		}
	}
	go func() { waiting <- w.admin(http.MethodPost, m.path+"/connect?wait=60", "") }()
	<-stored
	go func() { waiting <- w.admin(http.MethodPost, m.path+"/connect", "") }()
	<-stored
	w.stop()
	for {
		if _, ok := s.next(); !ok {
			break
		}
	}
	(<-waiting).want(http.StatusAccepted)
	close(release)
	(<-waiting).want(http.StatusAccepted)
	if err := <-w.ended; err != nil {
		t.Error(err)
	}
	w.ended <- nil
	if reasons := w.health.Reasons(t.Context()); !slices.ContainsFunc(reasons, func(r service.Reason) bool { return r.Name == service.Draining }) {
		t.Errorf("%v", reasons)
	}
	if _, err := http.Get(w.url + "/healthz"); err == nil {
		t.Error("still listening")
	}
}

func TestRunRefusesABadStart(t *testing.T) {
	conn := bustest.Conn(t, bustest.Server(t), bustest.WithoutStreams())
	for _, key := range []string{"", "short", strings.Repeat("x", 257), "with spaces in the middle"} {
		err := gateway.Run(t.Context(), gateway.Config{AdminKey: seal.Secret(key), HTTPAddr: "127.0.0.1:0"}, gateway.Deps{Bus: conn})
		if err == nil || !strings.Contains(err.Error(), "PAIRGATE_ADMIN_KEY") || key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("%v", err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = gateway.Run(t.Context(), gateway.Config{AdminKey: adminKey, HTTPAddr: taken.Addr().String()}, gateway.Deps{Bus: conn})
	if err == nil || !strings.Contains(err.Error(), "PAIRGATE_HTTP_ADDR") {
		t.Errorf("%v", err)
	}
	var bad []string
	c := gateway.Config{AdminKey: "short"}
	c.Check(func(name, _ string) { bad = append(bad, name) })
	if !slices.Equal(bad, []string{"PAIRGATE_ADMIN_KEY"}) {
		t.Errorf("%v", bad)
	}
}

// owner owns every partition it is given.
type owner struct{}

func (owner) Acquired(context.Context, lease.Round) {}
func (owner) Lost(instance.Partition, error)        {}
func (w *world) reasons() (names []service.Condition) {
	for _, r := range w.health.Reasons(context.Background()) {
		names = append(names, r.Name)
	}
	return names
}

// TestEachReasonAppearsForItsOwnCauseAlone breaks one thing after the other.
func TestEachReasonAppearsForItsOwnCauseAlone(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := bustest.Server(t)
	others := bustest.Conn(t, srv, bustest.LeaseTTL(time.Second))
	own := bustest.Conn(t, srv)
	w := &world{TB: t, conn: others, registry: startRegistry(t, others)}
	w.run(own)
	service.WatchConnection(w.health, own)

	svc, err := bus.NewService(others, bus.ServiceConfig{Name: "session-worker"})
	if err != nil {
		t.Fatal(err)
	}
	hold := func() *lease.Manager {
		m, err := lease.Start(t.Context(), others, lease.Config{Kind: "session-worker", WorkerID: "w1", ServiceID: svc.ID(), KeyStore: "k",
			Stream: bus.StreamEvents, OwnerSubject: bus.OwnerSubject, Partitions: instance.Partitions, TakesPerSecond: 10_000, ReclaimOwn: true}, owner{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	manager := hold()
	become := func(when string, want ...service.Condition) {
		t.Helper()
		bustest.CheckFor(t, patience, func() error {
			if got := w.reasons(); !slices.Equal(got, want) {
				return errors.New(when + ": not as wanted: " + joined(got))
			}
			return nil
		})
	}
	become("at first")
	w.send(http.MethodGet, "/readyz", "", "", nil).want(http.StatusOK)
	w.registry.stop()
	become("without a registry", service.Registry)
	got := w.send(http.MethodGet, "/readyz", "", "", nil)
	if got.status != http.StatusServiceUnavailable || !strings.Contains(string(got.body), `"registry"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	w.registry.start()
	become("with a registry again")
	if err := manager.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	become("without a worker", service.Ownership)
	manager = hold()
	become("with a worker again")
	if err := others.JetStream().DeleteStream(t.Context(), bus.BucketStream(bus.BucketInstances)); err != nil {
		t.Fatal(err)
	}
	become("without a bucket that is followed", service.Followers)
	if _, err := bus.Ensure(t.Context(), others, bus.EnsureOptions{LeaseTTL: time.Second}); err != nil {
		t.Fatal(err)
	}
	become("with the bucket again")
	if err := manager.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := svc.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv.Shutdown()
	become("without NATS", service.NATS)
}

func joined(names []service.Condition) string {
	var b strings.Builder
	for _, n := range names {
		b.WriteString(string(n) + " ")
	}
	return b.String()
}
