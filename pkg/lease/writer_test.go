package lease_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
)

// usurp takes a partition behind its owner's back, as another worker does after a
// lease has gone.
func usurp(tb testing.TB, conn *bus.Conn, p instance.Partition) {
	tb.Helper()
	m := nats.NewMsg(bus.OwnerSubject(p))
	m.Data = []byte(`{"worker":"usurper","nonce":"x","since":"2026-01-01T00:00:00Z"}`)
	m.Header.Set("Nats-TTL", "never")
	bustest.CheckFor(tb, 10*time.Second, func() error {
		_, err := conn.JetStream().PublishMsg(context.Background(), m)
		return err
	})
}

func owning(tb testing.TB, conn *bus.Conn, change func(*lease.Config)) (*lease.Manager, *recorder) {
	tb.Helper()
	h := newRecorder(tb)
	cfg := config(tb, "a")
	if change != nil {
		change(&cfg)
	}
	m := start(tb, conn, cfg, h)
	bustest.CheckFor(tb, 20*time.Second, wantRound(h, cfg.Partitions))
	return m, h
}

func writer(tb testing.TB, m *lease.Manager, p instance.Partition) *lease.Writer {
	tb.Helper()
	w, ok := m.Writer(p)
	if !ok {
		tb.Fatalf("no writer of partition %v", p)
	}
	return w
}

func TestWriterStoresAndRecognisesRepeats(t *testing.T) {
	bustest.CheckGoroutines(t)
	conn := connect(t, server(t))
	m, h := owning(t, conn, nil)
	w := writer(t, m, 3)
	if w.Partition() != 3 || w.Epoch() != h.epochs()[3] {
		t.Errorf("partition %v, epoch %d", w.Partition(), w.Epoch())
	}
	msg := message(3, w.Epoch())
	first, err := w.PublishAck(t.Context(), msg)
	if err != nil || first.Duplicate || first.Sequence <= w.Epoch() {
		t.Fatalf("%+v, %v", first, err)
	}
	if len(msg.Header) != 1 {
		t.Errorf("the caller's message was changed: %v", msg.Header)
	}
	again, err := w.PublishAck(t.Context(), msg)
	if err != nil || !again.Duplicate || again.Sequence != first.Sequence {
		t.Errorf("repeat: %+v, %v", again, err)
	}
	if _, err := w.Publish(t.Context(), nats.NewMsg("pairgate.v1.events.x.status")); !errors.Is(err, lease.ErrNoMessageID) {
		t.Errorf("without an id: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Publish(ctx, message(3, w.Epoch())); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

func TestZombieIsRefusedAndTold(t *testing.T) {
	bustest.CheckGoroutines(t)
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprintf("R%d", replicas), func(t *testing.T) {
			var conn *bus.Conn
			if replicas == 1 {
				conn = connect(t, server(t))
			} else {
				conn = bustest.Cluster(t, 3).Conn(t, bustest.LeaseTTL(4*time.Second))
			}
			metrics := prometheus.NewRegistry()
			m, h := owning(t, conn, func(c *lease.Config) { c.Metrics = metrics })
			w := writer(t, m, 3)
			bystander := writer(t, m, 4)

			// Writes are under way while the partition is taken.
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for {
						if _, err := w.Publish(t.Context(), message(3, w.Epoch())); err != nil {
							if !errors.Is(err, lease.ErrLost) {
								t.Errorf("refused with %v", err)
							}
							return
						}
					}
				})
			}
			usurp(t, conn, 3)
			wg.Wait()
			<-w.Done()
			bustest.CheckFor(t, 10*time.Second, func() error {
				if err := h.whyLost(3); !errors.Is(err, lease.ErrLost) {
					return fmt.Errorf("handler was told %v", err)
				}
				return nil
			})
			if _, err := bystander.Publish(t.Context(), message(4, bystander.Epoch())); err != nil {
				t.Errorf("another partition: %v", err)
			}
			if n := total(t, metrics, "pairgate_lease_fenced_writes_refused_total"); n != 1 {
				t.Errorf("%v refusals counted", n)
			}
			if writes, _ := checkEpochs(t, conn); writes == 0 {
				t.Error("nothing was written")
			}
		})
	}
}

// A write on the same fence by somebody else in flight is answered with 10164 by
// replicated streams. It means "again", not "lost".
func TestWriteInFlightIsRepeated(t *testing.T) {
	bustest.CheckGoroutines(t)
	conn := bustest.Cluster(t, 3).Conn(t, bustest.LeaseTTL(4*time.Second))
	metrics := prometheus.NewRegistry()
	m, _ := owning(t, conn, func(c *lease.Config) { c.Partitions, c.Metrics = 1, metrics })
	w := writer(t, m, 0)
	ctx, cancel := context.WithCancel(t.Context())
	var disturbers sync.WaitGroup
	for range 2 {
		disturbers.Go(func() {
			for ctx.Err() == nil {
				_, _ = conn.JetStream().PublishMsg(ctx, message(0, w.Epoch()),
					jetstream.WithExpectLastSequenceForSubject(w.Epoch(), bus.OwnerSubject(0)), jetstream.WithRetryAttempts(0))
			}
		})
	}
	for n := 0; n < 20 || total(t, metrics, "pairgate_lease_write_retries_total") == 0; n++ {
		if _, err := w.Publish(t.Context(), message(0, w.Epoch())); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	disturbers.Wait()
	t.Logf("%v retries", total(t, metrics, "pairgate_lease_write_retries_total"))
	checkEpochs(t, conn)
}

// A server that is away for less than the lease costs time, not writes: each is stored
// once.
func TestWritesSurviveARestartOfTheServer(t *testing.T) {
	bustest.CheckGoroutines(t)
	options := embedded.Options{StoreDir: t.TempDir(), Listen: true, User: "u", Password: "p", MaxStore: 16 << 30, SyncAlways: true}
	srv, err := embedded.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Shutdown() })
	options.Port = port(t, srv)
	conn := bustest.Conn(t, srv, bustest.LeaseTTL(20*time.Second), bustest.With(func(o *bus.Options) {
		o.InProcess, o.URL, o.User, o.Password = nil, srv.URL(), "u", "p"
	}))
	m, _ := owning(t, conn, func(c *lease.Config) { c.AttemptTimeout = 200 * time.Millisecond })

	var wg sync.WaitGroup
	stop := make(chan struct{})
	var mu sync.Mutex
	stored := map[uint64]int{}
	for p := range instance.Partition(16) {
		w := writer(t, m, p)
		wg.Go(func() {
			for {
				seq, err := w.Publish(t.Context(), message(p, w.Epoch()))
				if err != nil {
					t.Errorf("partition %v: %v", p, err)
					return
				}
				mu.Lock()
				stored[seq]++
				mu.Unlock()
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(stored)
	}
	bustest.CheckFor(t, 10*time.Second, func() error {
		if count() < 100 {
			return errors.New("few writes")
		}
		return nil
	})
	srv.Shutdown()
	if srv, err = embedded.Start(options); err != nil {
		t.Fatal(err)
	}
	before := count()
	bustest.CheckFor(t, 20*time.Second, func() error {
		if count() < before+100 {
			return errors.New("few writes after the restart")
		}
		return nil
	})
	close(stop)
	wg.Wait()
	writes, _ := checkEpochs(t, conn)
	if writes != len(stored) {
		t.Errorf("%d writes stored, %d acknowledged", writes, len(stored))
	}
	for seq, n := range stored {
		if n != 1 {
			t.Errorf("sequence %d acknowledged %d times", seq, n)
		}
	}
}

// A full stream is an answer, not a reason to try for ever.
func TestRefusalsOfTheStreamAreReturned(t *testing.T) {
	bustest.CheckGoroutines(t)
	conn := bustest.Conn(t, server(t), bustest.LeaseTTL(ttl), bustest.MaxBytes(bus.StreamEvents, 64<<10))
	m, h := owning(t, conn, nil)
	w := writer(t, m, 0)
	for {
		msg := message(0, w.Epoch())
		msg.Data = make([]byte, 8<<10)
		if _, err := w.Publish(t.Context(), msg); err != nil {
			if !bus.IsStreamFull(err) {
				t.Errorf("refused with %v", err)
			}
			break
		}
	}
	if h.count() != 16 {
		t.Errorf("a full stream cost %d partitions", 16-h.count())
	}
}

// One partition writes one message at a time; many partitions write at the same time.
func BenchmarkWriter(b *testing.B) {
	for _, sync := range []bool{false, true} {
		for _, partitions := range []int{1, 256} {
			b.Run(fmt.Sprintf("syncAlways=%v/partitions=%d", sync, partitions), func(b *testing.B) {
				srv := bustest.Server(b, func(o *embedded.Options) { o.SyncAlways = sync })
				m, _ := owning(b, bustest.Conn(b, srv), func(c *lease.Config) { c.Partitions = partitions })
				benchmarkWriters(b, m, partitions)
			})
		}
	}
}

func benchmarkWriters(b *testing.B, m *lease.Manager, partitions int) {
	var wg sync.WaitGroup
	b.ResetTimer()
	for p := range partitions {
		w := writer(b, m, instance.Partition(p))
		wg.Go(func() {
			for n := p; n < b.N; n += partitions {
				if _, err := w.Publish(b.Context(), message(w.Partition(), w.Epoch())); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}
