package lease_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap/zaptest"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
)

// ttl of the leases in these tests; the shortest that the server takes.
const ttl = time.Second

// recorder is a Handler that remembers what it was told, and checks the order of it.
type recorder struct {
	tb testing.TB
	// onAcquired and onLost, when set, run inside the calls.
	onAcquired func(context.Context, lease.Round)
	onLost     func(instance.Partition, error)

	mu     sync.Mutex
	owned  map[instance.Partition]uint64
	rounds []lease.Round
	losses map[instance.Partition]error
}

func newRecorder(tb testing.TB) *recorder {
	return &recorder{tb: tb, owned: map[instance.Partition]uint64{}, losses: map[instance.Partition]error{}}
}

func (r *recorder) Acquired(ctx context.Context, round lease.Round) {
	r.mu.Lock()
	r.rounds = append(r.rounds, round)
	if len(round.Partitions) == 0 {
		r.tb.Error("a round without partitions")
	}
	highest := uint64(0)
	for _, p := range round.Partitions {
		if r.owned[p.Number] != 0 {
			r.tb.Errorf("partition %v acquired twice", p.Number)
		}
		r.owned[p.Number] = p.Epoch
		highest = max(highest, p.Epoch)
	}
	if highest != round.Barrier {
		r.tb.Errorf("barrier %d, highest epoch %d", round.Barrier, highest)
	}
	r.mu.Unlock()
	if r.onAcquired != nil {
		r.onAcquired(ctx, round)
	}
}

func (r *recorder) Lost(p instance.Partition, why error) {
	if r.onLost != nil {
		r.onLost(p, why)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.owned[p] == 0 {
		r.tb.Errorf("partition %v lost without having been acquired", p)
	}
	delete(r.owned, p)
	r.losses[p] = why
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.owned)
}

func (r *recorder) epochs() map[instance.Partition]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[instance.Partition]uint64{}
	for p, e := range r.owned {
		all[p] = e
	}
	return all
}

func (r *recorder) whyLost(p instance.Partition) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.losses[p]
}

// config of a session worker in tests.
func config(tb testing.TB, worker string) lease.Config {
	return lease.Config{
		Kind: "session-worker", WorkerID: worker, KeyStore: "store-a",
		Stream: bus.StreamEvents, OwnerSubject: bus.OwnerSubject, Partitions: 16,
		MoveAge: 300 * time.Millisecond, MovesPerSecond: 100, TakesPerSecond: 1000,
		RevokeAfter: 300 * time.Millisecond, PingEvery: 50 * time.Millisecond,
		Log: zaptest.NewLogger(tb, zaptest.Level(testLevel)),
	}
}

func start(tb testing.TB, conn *bus.Conn, cfg lease.Config, h lease.Handler) *lease.Manager {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m, err := lease.Start(ctx, conn, cfg, h)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(m.Close)
	return m
}

func server(tb testing.TB, opts ...func(*embedded.Options)) *embedded.Server {
	return bustest.Server(tb, opts...)
}

func connect(tb testing.TB, srv *embedded.Server) *bus.Conn {
	return bustest.Conn(tb, srv, bustest.LeaseTTL(ttl))
}

// service makes the worker answer pings and returns its id.
func service(tb testing.TB, conn *bus.Conn) (id string, stop func()) {
	tb.Helper()
	s, err := micro.AddService(conn.NATS(), micro.Config{Name: "session-worker", Version: "1.0.0"})
	if err != nil {
		tb.Fatal(err)
	}
	var once sync.Once
	stop = func() { once.Do(func() { _ = s.Stop() }) }
	tb.Cleanup(stop)
	return s.Info().ID, stop
}

func wantOwned(n int, managers ...*lease.Manager) func() error {
	return func() error {
		sum := 0
		var each []int
		for _, m := range managers {
			sum += m.Owned()
			each = append(each, m.Owned())
		}
		if sum != n {
			return fmt.Errorf("%v owned, want %d", each, n)
		}
		return nil
	}
}

// message is a status of a new instance that says for which partition, and under which
// epoch, it is written.
func message(p instance.Partition, epoch uint64) *nats.Msg {
	id := uuid.NewString()
	m := nats.NewMsg(bus.EventSubject(instance.ID(id), instance.KindStatus))
	m.Header.Set(nats.MsgIdHdr, id)
	m.Data = fmt.Appendf(nil, "%d %d", p, epoch)
	return m
}

// checkEpochs reads the whole stream: every write must have been stored while the owner
// record of its partition was the one whose sequence is its epoch. It returns the
// numbers of writes and of claims.
func checkEpochs(tb testing.TB, conn *bus.Conn) (writes, claims int) {
	tb.Helper()
	epoch := map[instance.Partition]uint64{}
	released := map[instance.Partition]bool{}
	for _, m := range everything(tb, conn, bus.StreamEvents) {
		meta, err := m.Metadata()
		if err != nil {
			tb.Fatal(err)
		}
		if p, ok := bus.ParseOwnerSubject(m.Subject()); ok {
			o, err := lease.ParseOwner(m.Data())
			if err != nil {
				tb.Fatal(err)
			}
			epoch[p], released[p] = meta.Sequence.Stream, o.Released
			claims++
			continue
		}
		var p instance.Partition
		var e uint64
		if _, err := fmt.Sscanf(string(m.Data()), "%d %d", &p, &e); err != nil {
			tb.Fatalf("%q: %v", m.Data(), err)
		}
		writes++
		if e != epoch[p] || released[p] {
			tb.Errorf("sequence %d: partition %v written under epoch %d, the owner's is %d (released %v)",
				meta.Sequence.Stream, p, e, epoch[p], released[p])
		}
	}
	return writes, claims
}

// everything returns all messages of the stream in order.
func everything(tb testing.TB, conn *bus.Conn, stream string) []jetstream.Msg {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := conn.JetStream().CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		tb.Fatal(err)
	}
	left := c.CachedInfo().NumPending
	it, err := c.Messages(jetstream.PullMaxMessages(5000))
	if err != nil {
		tb.Fatal(err)
	}
	defer it.Stop()
	var all []jetstream.Msg
	for ; left > 0; left-- {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func ownerRecords(tb testing.TB, conn *bus.Conn) map[instance.Partition][]lease.Owner {
	tb.Helper()
	all := map[instance.Partition][]lease.Owner{}
	for _, m := range everything(tb, conn, bus.StreamEvents) {
		p, ok := bus.ParseOwnerSubject(m.Subject())
		if !ok {
			continue
		}
		o, err := lease.ParseOwner(m.Data())
		if err != nil {
			tb.Fatal(err)
		}
		all[p] = append(all[p], o)
	}
	return all
}

func names(n int) []string {
	var s []string
	for i := range n {
		s = append(s, string(rune('a'+i)))
	}
	slices.Sort(s)
	return s
}
