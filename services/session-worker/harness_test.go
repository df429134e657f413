package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	pb "pairgate.dev/proto/pairgate/v1"
	worker "pairgate.dev/services/session-worker"
	"pairgate.dev/services/session-worker/driver"
)

// phone is a messenger in memory: a driver whose sessions do what the test says.
type phone struct {
	mu       sync.Mutex
	keys     map[instance.ID]instance.Account
	sessions map[instance.ID]*fakeSession
	opened   map[instance.ID]int
	pairs    map[instance.ID]int
	logouts  map[instance.ID]int
	looked   map[instance.ID]int
	// presences are what sessions were told to show.
	presences []bool
}

func newPhone() *phone {
	return &phone{keys: map[instance.ID]instance.Account{}, sessions: map[instance.ID]*fakeSession{},
		opened: map[instance.ID]int{}, pairs: map[instance.ID]int{}, logouts: map[instance.ID]int{}, looked: map[instance.ID]int{}}
}

type fakeSession struct {
	phone *phone
	id    instance.ID
	mu    sync.Mutex
	sink  driver.Sink
	codes int
}

func (s *fakeSession) tell(events ...instance.SessionEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		if s.sink != nil {
			s.sink(e)
		}
		if _, over := e.(instance.Closed); over {
			s.sink = nil
		}
	}
}

func (s *fakeSession) code() {
	s.codes++
	now := time.Now()
	s.tell(instance.CodeIssued{Text: fmt.Sprintf("code-%d", s.codes), Issued: now, Expires: now.Add(20 * time.Second)})
}

func (s *fakeSession) Logout(context.Context) error {
	s.phone.mu.Lock()
	s.phone.logouts[s.id]++
	s.phone.mu.Unlock()
	s.tell(instance.Closed{Reason: instance.ReasonConnectionClosed})
	return nil
}

func (s *fakeSession) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink = nil
}

func (p *phone) Provider() instance.Provider { return instance.Simulated }

func (p *phone) Account(_ context.Context, id instance.ID) (instance.Account, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked[id]++
	a, ok := p.keys[id]
	return a, ok, nil
}

// count returns what one of the phone's counters says of the instance.
func (p *phone) count(counter map[instance.ID]int, id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return counter[instance.ID(id)]
}

func (p *phone) open(id instance.ID, sink driver.Sink) *fakeSession {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &fakeSession{phone: p, id: id, sink: sink}
	p.sessions[id] = s
	p.opened[id]++
	return s
}

func (p *phone) Pair(_ context.Context, params driver.PairParams, sink driver.Sink) driver.Session {
	s := p.open(params.Instance, sink)
	p.mu.Lock()
	p.pairs[params.Instance]++
	p.mu.Unlock()
	s.code()
	return s
}

func (p *phone) Login(_ context.Context, params driver.LoginParams, sink driver.Sink) driver.Session {
	s := p.open(params.Instance, sink)
	if a, ok, _ := p.Account(context.Background(), params.Instance); ok {
		s.tell(instance.Connected{Account: a})
	} else {
		s.tell(instance.Closed{Reason: instance.ReasonKeysMissing})
	}
	return s
}

func (p *phone) Forget(_ context.Context, id instance.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.keys, id)
	return nil
}

func (p *phone) Close() error { return nil }

func (p *phone) session(id instance.ID) *fakeSession {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[id]
}

// scan links the account to the instance, as a phone that scans its code does.
func (p *phone) scan(id instance.ID) {
	s := p.session(id)
	account := instance.Account{ID: "acc-" + string(id), Phone: "15550001", Name: "Ann"}
	s.tell(instance.Scanned{})
	p.mu.Lock()
	p.keys[id] = account
	p.mu.Unlock()
	s.tell(instance.Linked{Account: account}, instance.Connected{Account: account})
}

// rig is a NATS server, a phone and the part of the registry that tests need.
type rig struct {
	tb    testing.TB
	conn  *bus.Conn
	phone *phone
	key   seal.Secret
	views *bus.Views
	// drivers, config and dataDir are what the next worker is started with.
	drivers []driver.Driver
	config  worker.Config
	dataDir string
	// health is the last worker's.
	health *service.Health
	// worker makes one; start runs one aside, which must end without an error.
	worker func() (run func(context.Context) error)
	start  func() (stop func())
}

func newRig(t *testing.T) *rig {
	t.Helper()
	bustest.CheckGoroutines(t)
	srv := bustest.Server(t)
	conn := bustest.Conn(t, srv, bustest.LeaseTTL(2*time.Second))
	r := &rig{tb: t, conn: conn, phone: newPhone(), key: seal.NewMasterKey(), views: bus.NewViews(conn, zap.NewNop())}
	t.Cleanup(r.views.Close)
	r.drivers, r.config = []driver.Driver{r.phone}, worker.Config{WorkerID: "w1", MasterKey: r.key}
	r.worker = func() func(context.Context) error {
		r.health = service.NewHealth()
		config, deps := r.config, worker.Deps{Bus: bustest.Conn(t, srv), Log: zap.NewNop(), Metrics: prometheus.NewRegistry(),
			Health: r.health, DataDir: r.dataDir, Drivers: r.drivers, ReclaimOwn: true,
			Backoff: instance.Backoff{Base: time.Millisecond, Max: 10 * time.Millisecond, Rand: func() float64 { return 0.5 }}}
		return func(ctx context.Context) error { return worker.Run(ctx, config, deps) }
	}
	r.start = func() func() {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		run := r.worker()
		go func() { done <- run(ctx) }()
		return sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("worker: %v", err)
			}
		})
	}
	return r
}

func (r *rig) put(record *pb.InstanceRecord) {
	r.tb.Helper()
	kv, err := r.conn.KeyValue(r.tb.Context(), bus.BucketInstances)
	if err != nil {
		r.tb.Fatal(err)
	}
	body, err := bus.EncodeJSON(record)
	if err != nil {
		r.tb.Fatal(err)
	}
	if _, err := kv.Put(r.tb.Context(), bus.InstanceKey(instance.ID(record.GetInstance().GetId())), body); err != nil {
		r.tb.Fatal(err)
	}
}

// create does what the registry does for a new instance.
func (r *rig) create(told bool) *pb.InstanceRecord {
	r.tb.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	record := &pb.InstanceRecord{Instance: &pb.Instance{Id: id, Name: "shop " + id, Number: 9000000001, Provider: "simulated",
		QrTimeout: 120, CreatedAt: timestamppb.Now()}}
	r.put(record)
	if told {
		r.tell(record, instance.KindCreated)
	}
	return record
}

// tell publishes an event of the registry for the instance.
func (r *rig) tell(record *pb.InstanceRecord, kind instance.Kind) {
	r.tb.Helper()
	i := record.GetInstance()
	message, err := bus.EncodeEvent(&pb.Event{Id: bus.NewEventID(), Kind: string(kind), Time: timestamppb.Now(),
		Instance: &pb.InstanceRef{Id: i.GetId(), Name: i.GetName(), Number: i.GetNumber(), Provider: i.GetProvider()},
		Body:     &pb.Event_Spec{Spec: i}})
	if err != nil {
		r.tb.Fatal(err)
	}
	if _, err := r.conn.JetStream().PublishMsg(r.tb.Context(), message); err != nil {
		r.tb.Fatal(err)
	}
}

// ask stores the record with a further request; set says of which kind.
func (r *rig) ask(record *pb.InstanceRecord, set func(record *pb.InstanceRecord, number uint64)) uint64 {
	r.tb.Helper()
	record.Instance.Request++
	set(record, record.Instance.Request)
	r.put(proto.CloneOf(record))
	return record.Instance.Request
}

func connect(record *pb.InstanceRecord, number uint64) {
	record.ConnectRequest = number
	record.Pairing = &pb.PairingWish{Method: "qr", Window: 120, RequestedAt: timestamppb.Now()}
}

func logout(record *pb.InstanceRecord, number uint64)  { record.LogoutRequest = number }
func restart(record *pb.InstanceRecord, number uint64) { record.RestartRequest = number }

func (r *rig) await(id string, what string, ok func(instance.Status) bool) instance.Status {
	r.tb.Helper()
	var got instance.Status
	bustest.CheckFor(r.tb, 20*time.Second, func() error {
		s, found := r.views.Sessions.Status(instance.ID(id))
		if !found || !ok(s) {
			return fmt.Errorf("waiting for %s; the status is %s/%s, attempt %d, observed %d, epoch %d", what, s.Phase, s.Reason, s.Attempt, s.ObservedRequest, s.Epoch)
		}
		got = s
		return nil
	})
	return got
}

func phase(p instance.Phase) func(instance.Status) bool {
	return func(s instance.Status) bool { return s.Phase == p }
}

// events returns every stored event of the instance, in the order of the stream.
func (r *rig) events(id string) []*pb.Event {
	r.tb.Helper()
	consumer, err := r.conn.JetStream().OrderedConsumer(r.tb.Context(), bus.StreamEvents,
		jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.EventsOf(instance.ID(id))}})
	if err != nil {
		r.tb.Fatal(err)
	}
	info, err := consumer.Info(r.tb.Context())
	if err != nil {
		r.tb.Fatal(err)
	}
	var events []*pb.Event
	for range info.NumPending {
		m, err := consumer.Next()
		if err != nil {
			r.tb.Fatal(err)
		}
		e, err := bus.DecodeEventMsg(m)
		if err != nil {
			r.tb.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// awaitWorker waits until the worker has a lease.
func (r *rig) awaitWorker(id string) {
	r.tb.Helper()
	kv, err := r.conn.KeyValue(r.tb.Context(), bus.BucketWorkers)
	if err != nil {
		r.tb.Fatal(err)
	}
	bustest.CheckFor(r.tb, 20*time.Second, func() error {
		_, err := kv.Get(r.tb.Context(), bus.WorkerKey(worker.Kind, id))
		return err
	})
}
