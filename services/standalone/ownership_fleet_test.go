package standalone_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/lease"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/lab/labapi"
	"pairgate.dev/services/lab/labclient"
	"pairgate.dev/services/standalone/internal/e2e"
)

// patience is how long anything may take on a machine that is busy with other things.
const patience = 60 * time.Second

// fleet is instances of one messenger, and worker processes that share them.
type fleet struct {
	t        *testing.T
	provider instance.Provider
	conn     *bus.Conn
	lab      *labclient.Client
	env      map[string]string
	dirs     map[string]string

	history *history
	ids     []instance.ID
	// linked are those of ids that a phone has linked.
	linked map[instance.ID]bool
}

// newFleet starts the lab and the registry. env says how programs reach NATS, and
// what is particular to the messenger: without WhatsApp, workers need no database to share.
func newFleet(t *testing.T, conn *bus.Conn, provider instance.Provider, env map[string]string) *fleet {
	f := &fleet{t: t, provider: provider, conn: conn, dirs: map[string]string{}, history: newHistory(), linked: map[instance.ID]bool{}}
	lab := e2e.Start(t, binaries.Build(t, "lab"), []string{"--control-addr", "127.0.0.1:0", "--data-dir", t.TempDir()}, nil)
	address := func(prefix string) string {
		line := lab.Await("the line "+prefix, func(line string) bool { return strings.HasPrefix(line, prefix) })
		return strings.TrimPrefix(line, prefix)
	}
	f.lab = labclient.New(address("control http://"))
	t.Cleanup(f.lab.Close)
	f.env = map[string]string{"PAIRGATE_MASTER_KEY": seal.NewMasterKey().Reveal(), "PAIRGATE_PROVIDERS": string(provider),
		"PAIRGATE_SIMULATED_ENDPOINT": address("simulated "), "PAIRGATE_WHATSAPP_ENDPOINT": address("whatsapp "),
		"PAIRGATE_WHATSAPP_NOISE_ROOT": address("whatsapp-noise-root ")}
	maps.Copy(f.env, env)
	registry := e2e.Start(t, binaries.Build(t, "instance-registry"), nil, f.with(nil))
	registry.AwaitLine("serving")
	f.follow()
	return f
}

func (f *fleet) with(more map[string]string) map[string]string {
	env := maps.Clone(f.env)
	maps.Copy(env, more)
	return env
}

// worker starts a worker, on its own data directory also when it comes back, and
// waits until it has a lease.
func (f *fleet) worker(id string, more map[string]string) *e2e.Process {
	f.t.Helper()
	if f.dirs[id] == "" {
		f.dirs[id] = f.t.TempDir()
	}
	before := f.nonce(id)
	env := f.with(map[string]string{"PAIRGATE_WORKER_ID": id, "PAIRGATE_DATA_DIR": f.dirs[id], "PAIRGATE_LOG_LEVEL": "warn"})
	maps.Copy(env, more)
	p := e2e.Start(f.t, binaries.Build(f.t, "session-worker"), nil, env)
	f.awaitTenure(id, before)
	return p
}

// nonce returns that of the worker's lease; empty when it has none.
func (f *fleet) nonce(id string) string {
	f.t.Helper()
	kv, err := f.conn.KeyValue(f.t.Context(), bus.BucketWorkers)
	if err != nil {
		f.t.Fatal(err)
	}
	entry, err := kv.Get(f.t.Context(), bus.WorkerKey("session-worker", id))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return ""
	}
	if err != nil {
		f.t.Fatal(err)
	}
	l, err := lease.ParseLease(entry.Value())
	if err != nil {
		f.t.Fatal(err)
	}
	return l.Nonce
}

// awaitTenure waits until the worker has a lease with another nonce than this one.
func (f *fleet) awaitTenure(id, before string) {
	f.t.Helper()
	bustest.CheckFor(f.t, patience, func() error {
		if now := f.nonce(id); now == "" || now == before {
			return fmt.Errorf("worker %s has no new lease", id)
		}
		return nil
	})
}

// follow writes the whole stream into the history from now to the end of the test.
func (f *fleet) follow() {
	f.t.Helper()
	consumer, err := f.conn.JetStream().OrderedConsumer(f.t.Context(), bus.StreamEvents, jetstream.OrderedConsumerConfig{})
	if err != nil {
		f.t.Fatal(err)
	}
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		if meta, err := m.Metadata(); err != nil {
			f.t.Errorf("a message without metadata: %v", err)
		} else {
			f.history.observe(meta.Sequence.Stream, m.Subject(), m.Data())
		}
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		consuming.Stop()
		<-consuming.Closed()
	})
}

// requestsAtOnce is how many requests are under way at a time.
const requestsAtOnce = 32

// forEach calls do for each index below n, several at a time.
func (f *fleet) forEach(what string, n int, do func(ctx context.Context, i int) error) {
	f.t.Helper()
	started := time.Now()
	group, ctx := errgroup.WithContext(f.t.Context())
	group.SetLimit(requestsAtOnce)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Logf("%d instances %s in %v", n, what, time.Since(started).Round(time.Millisecond))
}

// create makes instances.
func (f *fleet) create(n int) {
	f.t.Helper()
	f.ids = make([]instance.ID, n)
	f.forEach("created", n, func(ctx context.Context, i int) error {
		reply := &pb.CreateInstanceReply{}
		err := bus.Request(ctx, f.conn, bus.SubjectInstancesCreate, &pb.CreateInstanceRequest{Name: fmt.Sprintf("instance %d", i),
			Provider: string(f.provider), QrTimeout: 1800}, reply)
		f.ids[i] = instance.ID(reply.GetInstance().GetId())
		return err
	})
}

// connect opens a pairing window for each instance.
func (f *fleet) connect() {
	f.t.Helper()
	f.forEach("told to connect", len(f.ids), func(ctx context.Context, i int) error {
		return bus.Request(ctx, f.conn, bus.SubjectInstancesConnect, &pb.ConnectRequest{Ref: string(f.ids[i])}, &pb.CommandReply{})
	})
}

// restart asks for new sessions of the linked instances.
func (f *fleet) restart() {
	f.t.Helper()
	linked := slices.Collect(maps.Keys(f.linked))
	f.forEach("told to restart", len(linked), func(ctx context.Context, i int) error {
		return bus.Request(ctx, f.conn, bus.SubjectInstancesRestart, &pb.RestartRequest{Ref: string(linked[i])}, &pb.CommandReply{})
	})
}

// phoneOf is the number of the phone that links instance i.
func phoneOf(i int) string { return fmt.Sprintf("1555%07d", i) }

// link lets a phone each scan the codes of the first n instances.
func (f *fleet) link(n int) {
	f.t.Helper()
	f.forEach("linked", n, func(ctx context.Context, i int) error {
		phone := phoneOf(i)
		if _, err := f.lab.AddAccount(ctx, labapi.NewAccount{Provider: string(f.provider), Phone: phone}); err != nil {
			return err
		}
		for scanned := ""; ; {
			code, err := f.history.awaitCode(ctx, f.ids[i], scanned)
			if err != nil {
				return err
			}
			err = f.lab.ScanCode(ctx, phone, code)
			refused, ok := errors.AsType[*labclient.Error](err)
			if !ok || refused.Reason != labapi.ReasonExpiredCode {
				return err
			}
			scanned = code // It was replaced by another one just now.
		}
	})
	for _, id := range f.ids[:n] {
		f.linked[id] = true
	}
}

// steady waits until every partition is owned by one of the workers, and every
// instance has what it should have under the epoch of the present owner: who is
// linked is online, and everybody else shows a code.
func (f *fleet) steady(workers ...string) {
	f.t.Helper()
	started := time.Now()
	bustest.CheckFor(f.t, patience, func() error { return f.history.steady(f.ids, f.linked, workers) })
	f.t.Logf("steady with %v after %v", workers, time.Since(started).Round(time.Millisecond))
	f.sound()
}

// sound reads up to the present end of the stream and fails the test for every fault of the history.
func (f *fleet) sound() {
	f.t.Helper()
	stream, err := f.conn.JetStream().Stream(f.t.Context(), bus.StreamEvents)
	if err != nil {
		f.t.Fatal(err)
	}
	end := stream.CachedInfo().State.LastSeq
	bustest.CheckFor(f.t, patience, func() error { return f.history.reached(end) })
	if faults := f.history.found(); len(faults) > 0 {
		f.t.Fatalf("the stream is not what was promised:\n%s", strings.Join(faults, "\n"))
	}
}
