package registry

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	"pairgate.dev/services/instance-registry/internal/store"

	pb "pairgate.dev/proto/pairgate/v1"
)

const patience = 20 * time.Second

func testConfig() Config {
	return Config{
		MasterKey: seal.NewMasterKey(), Providers: []instance.Provider{instance.Simulated, instance.WhatsApp},
		WebhookAllow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, SweepInterval: time.Hour,
	}
}

// world is a registry that serves, and what a test needs to look behind it.
type world struct {
	*registry // over the same buckets, for looking and for steps of its own
	conn      *bus.Conn
	stop      func()
}

// bench is a registry that does not serve.
func bench(t *testing.T) *world { return build(t, testConfig()) }

func build(t *testing.T, cfg Config) *world {
	t.Helper()
	bustest.CheckGoroutines(t)
	conn := bustest.Conn(t, bustest.Server(t))
	views := bus.NewViews(conn, zap.NewNop())
	t.Cleanup(views.Close)
	r, err := newRegistry(t.Context(), cfg, Deps{Bus: conn, Log: zap.NewNop(), Views: views})
	if err != nil {
		t.Fatal(err)
	}
	if !r.viewsReady(t.Context()) {
		t.Fatal("views not ready")
	}
	return &world{registry: r, conn: conn, stop: func() {}}
}

// serving is a registry behind its subjects.
func serving(t *testing.T) *world { return servingWith(t, testConfig()) }

func servingWith(t *testing.T, cfg Config) *world {
	t.Helper()
	w := build(t, cfg)
	w.stop = w.launch(t, cfg)
	return w
}

// launch runs the service until the test ends or stop is called.
func (w *world) launch(t *testing.T, cfg Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	health, done := service.NewHealth(), make(chan error, 1)
	go func() { done <- Run(ctx, cfg, Deps{Bus: w.conn, Health: health, Views: w.views}) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	bustest.CheckFor(t, patience, func() error {
		if reasons := health.Reasons(t.Context()); len(reasons) > 0 {
			return fmt.Errorf("not ready: %v", reasons)
		}
		return nil
	})
	return stop
}

// ask sends a request and returns the reply, or the problem.
func ask[Rep any](t *testing.T, w *world, subject string, req proto.Message) (*Rep, *instance.Problem) {
	t.Helper()
	rep := new(Rep)
	err := bus.Request(t.Context(), w.conn, subject, req, any(rep).(proto.Message))
	if err == nil {
		return rep, nil
	}
	p, ok := errors.AsType[*instance.Problem](err)
	if !ok {
		t.Errorf("%s: %v", subject, err)
		p = instance.Problemf(instance.CodeInternal, "%v", err)
	}
	return nil, p
}

func must[Rep any](t *testing.T, w *world, subject string, req proto.Message) *Rep {
	t.Helper()
	rep, p := ask[Rep](t, w, subject, req)
	if p != nil {
		t.Fatalf("%s: %v", subject, p)
	}
	return rep
}

func refused(t *testing.T, w *world, code instance.Code, subject string, req proto.Message) *instance.Problem {
	t.Helper()
	_, p := ask[pb.Problem](t, w, subject, req)
	if p == nil || p.Code != code {
		t.Fatalf("%s: %v, want %s", subject, p, code)
	}
	return p
}

func simple(name string) *pb.CreateInstanceRequest {
	return &pb.CreateInstanceRequest{Name: name, Provider: "simulated"}
}

func (w *world) made(t *testing.T, req *pb.CreateInstanceRequest) *pb.CreateInstanceReply {
	t.Helper()
	return must[pb.CreateInstanceReply](t, w, bus.SubjectInstancesCreate, req)
}

// keys lists the keys of INSTANCES, as the leader has them, that hold something.
func (w *world) keys(t *testing.T, filters ...string) []string {
	t.Helper()
	var present []string
	for _, f := range filters {
		all, err := w.instances.Keys(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range all {
			cell, err := w.instances.Get(t.Context(), k)
			if err != nil {
				t.Fatal(err)
			}
			if cell.Present {
				present = append(present, k)
			}
		}
	}
	return present
}

// events returns the kinds of an instance's lifecycle events in the order of the stream.
func (w *world) eventsOf(t *testing.T, id string) []*pb.Event {
	t.Helper()
	stream, err := w.conn.JetStream().Stream(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	var out []*pb.Event
	for seq := max(1, stream.CachedInfo().State.FirstSeq); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if of, kind, ok := bus.ParseEventSubject(msg.Subject); !ok || string(of) != id || kind == instance.KindStatus {
			continue
		}
		ev, err := bus.DecodeRawEvent(msg)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, ev)
	}
	return out
}

func (w *world) waitKinds(t *testing.T, id, want string) []*pb.Event {
	t.Helper()
	var events []*pb.Event
	bustest.CheckFor(t, patience, func() error {
		events = w.eventsOf(t, id)
		var kinds []string
		for _, e := range events {
			kinds = append(kinds, e.GetKind())
		}
		if got := strings.Join(kinds, " "); got != want {
			return fmt.Errorf("events %q, want %q", got, want)
		}
		return nil
	})
	return events
}

// publish writes an event as a worker would.
func (w *world) publish(t *testing.T, ev *pb.Event) {
	t.Helper()
	ev.Id, ev.Time = bus.NewEventID(), timestamppb.Now()
	msg, err := bus.EncodeEvent(ev)
	if err != nil {
		t.Fatal(err)
	}
	ack, err := w.conn.JetStream().PublishMsg(t.Context(), msg)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.views.Sessions.WaitSequence(t.Context(), ack.Sequence); err != nil {
		t.Fatal(err)
	}
}

func (w *world) says(t *testing.T, id string, s instance.Status) {
	t.Helper()
	s.Since = time.Now()
	w.publish(t, &pb.Event{Kind: "status", Instance: &pb.InstanceRef{Id: id}, Attempt: s.Attempt, Body: &pb.Event_Status{Status: bus.StatusToProto(s)}})
}

// sweepNow runs a whole sweep as of a time from now.
func (w *world) sweepNow(t *testing.T, later time.Duration) {
	t.Helper()
	r := *w.registry
	r.now = func() time.Time { return time.Now().Add(later) }
	if err := newSweeper(&r, newLifecycle(&r)).sweep(t.Context(), true); err != nil {
		t.Fatalf("sweep: %v", err)
	}
}

// errCrash is what a process that died would have said.
var errCrash = errors.New("crash")

// crashing lets a number of writes through, over all buckets, and nothing after.
type crashing struct {
	mu   sync.Mutex
	left int
}

func (c *crashing) write() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left <= 0 {
		return errCrash
	}
	c.left--
	return nil
}

// crashAfter is a registry over the same buckets that dies after n writes.
func (w *world) crashAfter(n int) (r *registry, died func() bool) {
	c := &crashing{left: n}
	copied := *w.registry
	for _, b := range []*store.Bucket{&copied.instances, &copied.endpoints, &copied.idempotency, &copied.settings} {
		*b = crashBucket{*b, c}
	}
	return &copied, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.left <= 0 }
}

type crashBucket struct {
	store.Bucket
	c *crashing
}

func (b crashBucket) Put(ctx context.Context, key string, value []byte, expected uint64) (uint64, error) {
	if err := b.c.write(); err != nil {
		return 0, err
	}
	return b.Bucket.Put(ctx, key, value, expected)
}

func (b crashBucket) Remove(ctx context.Context, key string, expected uint64) error {
	if err := b.c.write(); err != nil {
		return err
	}
	return b.Bucket.Remove(ctx, key, expected)
}

// interrupted calls between before the first write of a key that begins with prefix.
func (w *world) interrupted(prefix string, between func()) *registry {
	copied := *w.registry
	copied.instances = hookBucket{copied.instances, prefix, sync.OnceFunc(between)}
	return &copied
}

type hookBucket struct {
	store.Bucket
	prefix  string
	between func()
}

func (b hookBucket) Put(ctx context.Context, key string, value []byte, expected uint64) (uint64, error) {
	if strings.HasPrefix(key, b.prefix) {
		b.between()
	}
	return b.Bucket.Put(ctx, key, value, expected)
}
