package dispatcher_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	oracle "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/bus/embedded"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	"pairgate.dev/pkg/service"
	pb "pairgate.dev/proto/pairgate/v1"
	dispatcher "pairgate.dev/services/webhook-dispatcher"
	"pairgate.dev/services/webhook-dispatcher/signature"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

const patience = 20 * time.Second

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// world is a NATS server with what the other services would have written.
type world struct {
	tb     testing.TB
	server *embedded.Server
	conn   *bus.Conn
	master seal.Secret
	ring   *seal.Ring
	log    *zap.Logger
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	bustest.CheckGoroutines(tb)
	w := &world{tb: tb, server: bustest.Server(tb), master: seal.NewMasterKey(), log: zaptest.NewLogger(tb, zaptest.Level(zap.WarnLevel))}
	w.conn = bustest.Conn(tb, w.server, bustest.LeaseTTL(2*time.Second))
	var err error
	if w.ring, err = seal.ParseRing(w.master); err != nil {
		tb.Fatal(err)
	}
	return w
}

func (w *world) config() dispatcher.Config {
	var c dispatcher.Config
	c.MasterKey, c.WebhookAllow = w.master, loopback
	if err := c.RetrySchedule.UnmarshalText([]byte("20ms,50ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms")); err != nil {
		w.tb.Fatal(err)
	}
	return c
}

// running is one dispatcher.
type running struct {
	health *service.Health
	conn   *bus.Conn
	end    context.CancelFunc
	done   chan error
	once   sync.Once
	tb     testing.TB
}

// start runs a dispatcher on a connection of its own, and waits until it is ready.
func (w *world) start(cfg dispatcher.Config) *running {
	w.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{health: service.NewHealth(), end: cancel, done: make(chan error, 1), tb: w.tb}
	r.conn = bustest.Conn(w.tb, w.server, bustest.WithoutStreams(), bustest.With(func(o *bus.Options) { o.Name = dispatcher.Name }))
	go func() {
		r.done <- dispatcher.Run(ctx, cfg, dispatcher.Deps{Bus: r.conn, Log: w.log, Health: r.health})
	}()
	w.tb.Cleanup(r.stop)
	bustest.CheckFor(w.tb, patience, func() error {
		if reasons := r.health.Reasons(context.Background()); len(reasons) > 0 {
			return fmt.Errorf("%v", reasons)
		}
		return nil
	})
	return r
}

// stop drains the dispatcher.
func (r *running) stop() {
	r.once.Do(func() {
		r.end()
		select {
		case err := <-r.done:
			if err != nil {
				r.tb.Errorf("Run: %v", err)
			}
		case <-time.After(10 * time.Second):
			r.tb.Error("the dispatcher did not drain in ten seconds")
		}
	})
}

// crash cuts the dispatcher off from NATS in the middle of everything. What it
// has in flight may end, but nothing of that can be written down.
func (r *running) crash() {
	r.once.Do(func() {
		r.conn.NATS().Close()
		r.end()
		<-r.done
	})
}

func newInstance() instance.ID { return instance.ID(uuid.Must(uuid.NewV7()).String()) }

// instances makes ids. EVENTS keeps 64 messages of a subject, so that a test which
// publishes more in a burst needs several.
func instances(n int) []instance.ID {
	ids := make([]instance.ID, n)
	for i := range ids {
		ids[i] = newInstance()
	}
	return ids
}

// hook puts an endpoint where the registry would put it, and returns its id.
func (w *world) hook(of instance.ID, url string, change func(*pb.EndpointRecord)) string {
	w.tb.Helper()
	rec := &pb.EndpointRecord{FromSequence: w.lastEvent(), Webhook: &pb.Webhook{Id: uuid.NewString(), InstanceId: string(of),
		Url: url, Format: "native", Enabled: true}}
	sealed, err := w.ring.Seal([]byte(secret), seal.ForWebhookSecret(rec.Webhook.Id))
	if err != nil {
		w.tb.Fatal(err)
	}
	rec.SealedSecrets = [][]byte{sealed}
	if change != nil {
		change(rec)
	}
	w.putHook(rec)
	return rec.Webhook.Id
}

func (w *world) putHook(rec *pb.EndpointRecord) {
	w.tb.Helper()
	data, err := bus.EncodeJSON(rec)
	if err != nil {
		w.tb.Fatal(err)
	}
	if _, err := w.kv().Put(w.ctx(), bus.EndpointKey(rec.Webhook.Id), data); err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) getHook(id string) *pb.EndpointRecord {
	w.tb.Helper()
	e, err := w.kv().Get(w.ctx(), bus.EndpointKey(id))
	if err != nil {
		w.tb.Fatal(err)
	}
	rec := new(pb.EndpointRecord)
	if err := bus.DecodeJSON(e.Value(), rec); err != nil {
		w.tb.Fatal(err)
	}
	return rec
}

func (w *world) kv() jetstream.KeyValue {
	w.tb.Helper()
	kv, err := w.conn.KeyValue(w.ctx(), bus.BucketEndpoints)
	if err != nil {
		w.tb.Fatal(err)
	}
	return kv
}

func (w *world) ctx() context.Context { return context.Background() }

func (w *world) stream(name string) jetstream.Stream {
	w.tb.Helper()
	s, err := w.conn.JetStream().Stream(w.ctx(), name)
	if err != nil {
		w.tb.Fatal(err)
	}
	return s
}

func (w *world) lastEvent() uint64 {
	w.tb.Helper()
	return w.stream(bus.StreamEvents).CachedInfo().State.LastSeq
}

// status publishes a status as its owner would, and returns its sequence.
func (w *world) status(id instance.ID, phase instance.Phase, attempt uint64) uint64 {
	w.tb.Helper()
	return w.publish(&pb.Event{Kind: string(instance.KindStatus), Attempt: attempt, Instance: &pb.InstanceRef{Id: string(id)},
		Body: &pb.Event_Status{Status: &pb.Status{Phase: string(phase), Reason: "created", Attempt: attempt}}})
}

// picture publishes a picture as the renderer would.
func (w *world) picture(id instance.ID, attempt, number uint64, life time.Duration) uint64 {
	w.tb.Helper()
	return w.publish(&pb.Event{Kind: string(instance.KindQR), Attempt: attempt, Instance: &pb.InstanceRef{Id: string(id)},
		Body: &pb.Event_Qr{Qr: &pb.Qr{Code: fmt.Sprintf("code %d", number), Image: []byte{1}, Attempt: attempt, Sequence: number,
			ExpiresAt: timestamppb.New(time.Now().Add(life))}}})
}

func (w *world) publish(ev *pb.Event) uint64 {
	w.tb.Helper()
	ev.Id, ev.Time = bus.NewEventID(), timestamppb.Now()
	m, err := bus.EncodeEvent(ev)
	if err != nil {
		w.tb.Fatal(err)
	}
	ack, err := w.conn.JetStream().PublishMsg(w.ctx(), m)
	if err != nil {
		w.tb.Fatal(err)
	}
	return ack.Sequence
}

// owed returns how many deliveries are still owed.
func (w *world) owed() uint64 {
	w.tb.Helper()
	info, err := w.stream(bus.StreamDeliveries).Info(w.ctx(), jetstream.WithSubjectFilter(bus.AllDeliveries))
	if err != nil {
		w.tb.Fatal(err)
	}
	var n uint64
	for _, of := range info.State.Subjects {
		n += of
	}
	return n
}

func (w *world) noneOwed() {
	w.tb.Helper()
	bustest.CheckFor(w.tb, patience, func() error {
		if n := w.owed(); n > 0 {
			return fmt.Errorf("%d deliveries are still owed", n)
		}
		return nil
	})
}

// attempts returns the last record of every delivery of the endpoint, by sequence of its event.
func (w *world) attempts(endpoint string) map[uint64]*pb.Delivery {
	w.tb.Helper()
	return w.records(bus.StreamAttempts, bus.AttemptsOf(endpoint))
}

func (w *world) records(stream, filter string) map[uint64]*pb.Delivery {
	w.tb.Helper()
	s := w.stream(stream)
	out := map[uint64]*pb.Delivery{}
	for seq := s.CachedInfo().State.FirstSeq; ; seq++ {
		m, err := s.GetMsg(w.ctx(), seq, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return out
		}
		if err != nil {
			w.tb.Fatal(err)
		}
		seq = m.Sequence
		d := new(pb.Delivery)
		if err := bus.DecodeJSON(m.Data, d); err != nil {
			w.tb.Fatal(err)
		}
		out[d.Sequence] = d
	}
}

// delivery is what a receiver got.
type delivery struct {
	path, id string
	event    struct {
		ID          string `json:"id"`
		Kind        string `json:"kind"`
		Sequence    string `json:"sequence"`
		Incarnation string `json:"incarnation"`
		Instance    struct{ ID string }
		QR          json.RawMessage `json:"qr"`
	}
	sequence uint64
}

// receiver is somebody's webhook; every delivery is verified by the official library.
type receiver struct {
	*httptest.Server
	tb     testing.TB
	verify *oracle.Webhook

	mu     sync.Mutex
	answer func(d delivery, w http.ResponseWriter, r *http.Request)
	taken  []delivery
	tried  int
}

func newReceiver(tb testing.TB, answer func(d delivery, w http.ResponseWriter, r *http.Request)) *receiver {
	tb.Helper()
	wh, err := oracle.NewWebhook(secret)
	if err != nil {
		tb.Fatal(err)
	}
	r := &receiver{tb: tb, verify: wh, answer: answer}
	r.Server = httptest.NewServer(r)
	tb.Cleanup(r.Server.Close)
	return r
}

func (r *receiver) setAnswer(answer func(d delivery, w http.ResponseWriter, r *http.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	if err := r.verify.Verify(body, req.Header); err != nil {
		r.tb.Errorf("signature: %v", err)
	}
	d := delivery{path: req.URL.Path, id: req.Header.Get(signature.HeaderID)}
	if err := json.Unmarshal(body, &d.event); err != nil {
		r.tb.Errorf("body: %v", err)
	}
	d.sequence, _ = strconv.ParseUint(d.event.Sequence, 10, 64)
	r.mu.Lock()
	r.tried++
	answer := r.answer
	r.mu.Unlock()
	recorder := &statusWriter{ResponseWriter: w}
	if answer != nil {
		answer(d, recorder, req)
	}
	if recorder.status < 300 {
		r.mu.Lock()
		r.taken = append(r.taken, d)
		r.mu.Unlock()
	}
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(code int) { w.status = code; w.ResponseWriter.WriteHeader(code) }

func (r *receiver) got() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]delivery(nil), r.taken...)
}

func (r *receiver) attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tried
}

// wait waits until n deliveries were taken.
func (r *receiver) wait(n int) []delivery {
	r.tb.Helper()
	bustest.CheckFor(r.tb, patience, func() error {
		if got := len(r.got()); got < n {
			return fmt.Errorf("%d of %d deliveries", got, n)
		}
		return nil
	})
	return r.got()
}

// firstSight returns the sequences of one instance in the order in which they
// were first taken, and how many were taken again.
func firstSight(all []delivery, id instance.ID) (order []uint64, again int) {
	seen := map[string]bool{}
	for _, d := range all {
		if d.event.Instance.ID != string(id) {
			continue
		}
		if seen[d.id] {
			again++
			continue
		}
		seen[d.id] = true
		order = append(order, d.sequence)
	}
	return order, again
}

func status(code int) func(delivery, http.ResponseWriter, *http.Request) {
	return func(_ delivery, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// waitFor holds a receiver's answer back until release is closed.
func waitFor(release <-chan struct{}) func(delivery, http.ResponseWriter, *http.Request) {
	return func(_ delivery, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
}
