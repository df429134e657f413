package bus_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
)

func TestEnsure(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := bustest.Server(t)
	c := bustest.Conn(t, srv, bustest.WithoutStreams())

	report, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Created) != len(bus.Names()) || len(report.Differences) != 0 {
		t.Fatalf("first run: %+v", report)
	}
	t.Run("AgainFindsNoDifference", func(t *testing.T) {
		report, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{})
		if err != nil || len(report.Created) != 0 || len(report.Differences) != 0 {
			t.Fatalf("second run: %+v, %v", report, err)
		}
	})
	t.Run("RaisesLimitsNeverShrinks", func(t *testing.T) {
		report, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{
			LeaseTTL: 2 * time.Second,
			MaxBytes: map[string]int64{bus.StreamEvents: 2 << 30, bus.StreamQueue: 1 << 20},
		})
		if err != nil {
			t.Fatal(err)
		}
		if s := info(t, c, bus.StreamEvents).Config; s.MaxBytes != 2<<30 {
			t.Errorf("EVENTS has %d bytes; it should have been raised", s.MaxBytes)
		}
		if s := info(t, c, bus.StreamQueue).Config; s.MaxBytes != bus.DefaultMaxBytes(bus.StreamQueue) {
			t.Errorf("QUEUE has %d bytes; it should not have been shrunk", s.MaxBytes)
		}
		if ttl, err := c.LeaseTTL(t.Context()); err != nil || ttl != bus.LeaseTTLSingle {
			t.Errorf("lease TTL %v, %v; shortening it would end other workers' leases", ttl, err)
		}
		var pending []string
		for _, d := range report.Pending() {
			pending = append(pending, d.Stream+" "+d.Setting)
		}
		slices.Sort(pending)
		if want := []string{"KV_WORKERS duplicate_window", "KV_WORKERS max_age", "QUEUE max_bytes"}; !slices.Equal(pending, want) {
			t.Errorf("pending %v, want %v", pending, want)
		}
	})
	t.Run("ReportIsLoggable", func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		zap.New(core).Info("streams", zap.Object("report", report))
		if got := logs.All()[0].ContextMap()["report"]; got == nil {
			t.Error("nothing logged")
		}
	})
	t.Run("BadOptions", func(t *testing.T) {
		for name, o := range map[string]bus.EnsureOptions{
			"lease": {LeaseTTL: time.Millisecond},
			"name":  {MaxBytes: map[string]int64{"EVENT": 1}},
			"size":  {MaxBytes: map[string]int64{bus.StreamEvents: -5}},
		} {
			if _, err := bus.Ensure(t.Context(), c, o); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
	})
}

func TestEnsureSettings(t *testing.T) {
	c := bustest.Conn(t, bustest.Server(t), bustest.LeaseTTL(3*time.Second))
	for _, name := range bus.Names() {
		stream := name
		if _, err := c.JetStream().Stream(t.Context(), name); err != nil {
			stream = bus.BucketStream(name)
		}
		cfg := info(t, c, stream).Config
		if cfg.AllowDirect {
			t.Errorf("%s allows direct reads; replicas answer stale", stream)
		}
		if cfg.MaxConsumers <= 0 {
			t.Errorf("%s leaves the number of consumers to the server", stream)
		}
		if cfg.MaxBytes <= 0 {
			t.Errorf("%s has no size", stream)
		}
	}
	ev := info(t, c, bus.StreamEvents).Config
	if ev.Discard != jetstream.DiscardNew || ev.MaxMsgsPerSubject != 64 || !ev.AllowMsgTTL || ev.Duplicates != bus.DedupWindow {
		t.Errorf("EVENTS: %+v", ev)
	}
	if d := info(t, c, bus.StreamDeliveries).Config; d.AllowMsgTTL || d.MaxAge != 0 || d.Discard != jetstream.DiscardNew {
		t.Errorf("DELIVERIES could drop something silently: %+v", d)
	}
	if ttl, err := c.LeaseTTL(t.Context()); err != nil || ttl != 3*time.Second {
		t.Errorf("lease TTL %v, %v", ttl, err)
	}
	if inc, err := c.Incarnation(t.Context()); err != nil || !strings.HasSuffix(inc, "Z") {
		t.Errorf("incarnation %q, %v", inc, err)
	}
}

func TestEnsureFromFiveServicesAtOnce(t *testing.T) {
	srv := bustest.Server(t)
	var wg sync.WaitGroup
	for range 5 {
		c := bustest.Conn(t, srv, bustest.WithoutStreams())
		wg.Go(func() {
			if _, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestEnsureCheckOnlyWaitsForTheProvisioner(t *testing.T) {
	srv := bustest.Server(t)
	c := bustest.Conn(t, srv, bustest.WithoutStreams())
	done := make(chan error, 1)
	go func() {
		_, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{CheckOnly: true})
		done <- err
	}()
	if _, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	empty := bustest.Conn(t, bustest.Server(t), bustest.WithoutStreams())
	if _, err := bus.Ensure(ctx, empty, bus.EnsureOptions{CheckOnly: true}); err == nil {
		t.Fatal("found streams that nobody made")
	}
	if s, err := empty.JetStream().Stream(t.Context(), bus.StreamEvents); err == nil {
		t.Fatalf("CheckOnly created %v", s.CachedInfo())
	}
}

func TestEnsureTellsAtOnceWhenTheStoreIsTooSmall(t *testing.T) {
	srv := bustest.Server(t, func(o *embedded.Options) { o.MaxStore = 100 << 20 })
	c := bustest.Conn(t, srv, bustest.WithoutStreams())
	_, err := bus.Ensure(t.Context(), c, bus.EnsureOptions{})
	if err == nil || !strings.Contains(err.Error(), "storage") {
		t.Fatalf("got %v, want a refusal that names the storage", err)
	}
}

func info(t *testing.T, c *bus.Conn, stream string) *jetstream.StreamInfo {
	t.Helper()
	s, err := c.JetStream().Stream(t.Context(), stream)
	if err != nil {
		t.Fatalf("%s: %v", stream, err)
	}
	return s.CachedInfo()
}

// Whoever looks at the size of a stream or bucket finds it by its name.
func TestStreamOfEveryNameIsDeclared(t *testing.T) {
	var declared, named []string
	for _, c := range bus.Declaration(bus.EnsureOptions{}) {
		declared = append(declared, c.Name)
	}
	for _, name := range bus.Names() {
		named = append(named, bus.StreamOf(name))
	}
	slices.Sort(declared)
	slices.Sort(named)
	if !slices.Equal(declared, named) {
		t.Errorf("declared %v, named %v", declared, named)
	}
}
