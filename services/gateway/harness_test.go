package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/service"
	pb "pairgate.dev/proto/pairgate/v1"
	gateway "pairgate.dev/services/gateway"
)

const adminKey = "an-admin-key-for-tests-0001"

// patience is how long a test polls for what must come.
const patience = 20 * time.Second

func numberText(n uint64) string { return strconv.FormatUint(n, 10) }

// world is a gateway with a fake registry behind it.
type world struct {
	testing.TB
	conn     *bus.Conn
	registry *fakeRegistry
	health   *service.Health
	url      string
	stop     context.CancelFunc
	ended    chan error
}

type option func(*gateway.Config, *gateway.Deps)

func start(tb testing.TB, opts ...option) *world {
	tb.Helper()
	bustest.CheckGoroutines(tb)
	srv := bustest.Server(tb)
	// Requests and events come from others, as in a real installation.
	others := bustest.Conn(tb, srv, bustest.LeaseTTL(time.Second))
	own := bustest.Conn(tb, srv)
	w := &world{TB: tb, conn: others, registry: startRegistry(tb, others)}
	w.run(own, opts...)
	return w
}

func (w *world) run(conn *bus.Conn, opts ...option) {
	w.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	w.health = service.NewHealth()
	registry := prometheus.NewRegistry()
	cfg := gateway.Config{AdminKey: adminKey}
	deps := gateway.Deps{Bus: conn, Log: zap.NewNop(), Health: w.health, Metrics: registry, Gatherer: registry, Listener: listener}
	for _, o := range opts {
		o(&cfg, &deps)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.url, w.stop, w.ended = "http://"+listener.Addr().String(), cancel, make(chan error, 1)
	go func() { w.ended <- gateway.Run(ctx, cfg, deps) }()
	w.Cleanup(func() {
		cancel()
		select {
		case err := <-w.ended:
			if err != nil {
				w.Errorf("the gateway ended with %v", err)
			}
		case <-time.After(patience):
			w.Error("the gateway did not drain")
		}
		http.DefaultClient.CloseIdleConnections()
	})
}

// answer is what a request got.
type answer struct {
	testing.TB
	status int
	header http.Header
	body   []byte
}

// send sends a request. The header may be nil; a token of "" sends none.
func (w *world) send(method, path, token, body string, header http.Header) answer {
	w.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+path, reader)
	if err != nil {
		w.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{w, res.StatusCode, res.Header, got}
}

// admin sends a request with the admin key.
func (w *world) admin(method, path, body string) answer {
	w.Helper()
	return w.send(method, path, adminKey, body, nil)
}

// want fails the test unless the status is the given one.
func (a answer) want(status int) answer {
	a.Helper()
	if a.status != status {
		a.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
		a.Errorf("status %d with content type %q: %s", status, a.header.Get("Content-Type"), a.body)
	}
	if a.header.Get("X-Request-Id") == "" {
		a.Error("no request id")
	}
	return a
}

func (a answer) json() map[string]any {
	a.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		a.Fatalf("%v: %s", err, a.body)
	}
	return m
}

// problem returns the code and the bad fields.
func (a answer) problem() (code string, fields []string) {
	a.Helper()
	var p struct {
		Code   string
		Status int
		Errors []struct{ Field, Message string }
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		a.Fatalf("%v: %s", err, a.body)
	}
	if p.Status != a.status {
		a.Errorf("status %d on the wire, %d in the problem", a.status, p.Status)
	}
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
	}
	return p.Code, fields
}

func (a answer) wantCode(status int, code instance.Code) answer {
	a.Helper()
	a.want(status)
	if got, _ := a.problem(); got != string(code) {
		a.Fatalf("code %s, want %s: %s", got, code, a.body)
	}
	return a
}

// made is an instance that a test made.
type made struct {
	id    instance.ID
	token string
	path  string
}

func (w *world) make(name string) made {
	w.Helper()
	m := w.admin(http.MethodPost, "/v1/instances", `{"name":"`+name+`","provider":"simulated"}`).want(http.StatusCreated).json()
	id := m["instance"].(map[string]any)["id"].(string)
	return made{instance.ID(id), m["token"].(string), "/v1/instances/" + id}
}

// publish stores an event and returns its sequence.
func (w *world) publish(ev *pb.Event) uint64 {
	w.Helper()
	m, err := bus.EncodeEvent(ev)
	if err != nil {
		w.Fatal(err)
	}
	ack, err := w.conn.JetStream().PublishMsg(context.Background(), m)
	if err != nil {
		w.Fatal(err)
	}
	return ack.Sequence
}

func event(id instance.ID, kind instance.Kind, attempt uint64) *pb.Event {
	return &pb.Event{Id: bus.NewEventID(), Kind: string(kind), Time: timestamppb.Now(), Attempt: attempt, Instance: &pb.InstanceRef{Id: string(id)}}
}

func status(id instance.ID, phase instance.Phase, attempt, observed uint64) *pb.Event {
	ev := event(id, instance.KindStatus, attempt)
	st := &pb.Status{Phase: string(phase), Reason: "qr_issued", Attempt: attempt, ObservedRequest: observed, Since: timestamppb.Now()}
	if phase == instance.Online {
		st.Account = &pb.Account{Id: "someone"}
	}
	ev.Body = &pb.Event_Status{Status: st}
	return ev
}

func life(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(d)) }

func code(id instance.ID, text string, attempt, number uint64) *pb.Event {
	ev := event(id, instance.KindCode, attempt)
	ev.Body = &pb.Event_Code{Code: &pb.Qr{Code: text, Attempt: attempt, Sequence: number, ExpiresAt: life(time.Minute)}}
	return ev
}

func picture(id instance.ID, text string, attempt, number uint64) *pb.Event {
	ev := event(id, instance.KindQR, attempt)
	ev.Body = &pb.Event_Qr{Qr: &pb.Qr{Code: text, Image: []byte("picture of " + text), Attempt: attempt, Sequence: number, ExpiresAt: life(time.Minute)}}
	return ev
}

func typed(id instance.ID, text string, attempt uint64) *pb.Event {
	ev := event(id, instance.KindPairingCode, attempt)
	ev.Body = &pb.Event_PairingCode{PairingCode: &pb.PairingCode{Code: text, Phone: "15550100", Attempt: attempt, ExpiresAt: life(time.Minute)}}
	return ev
}

// shows waits until the gateway tells the phase of the instance.
func (w *world) shows(m made, phase instance.Phase, attempt uint64) {
	w.Helper()
	bustest.CheckFor(w, patience, func() error {
		got := w.admin(http.MethodGet, m.path+"/status", "").want(http.StatusOK).json()
		if got["phase"] != string(phase) || got["attempt"] != numberText(attempt) {
			return errNotYet(got)
		}
		return nil
	})
}

type errNotYet map[string]any

func (e errNotYet) Error() string { return "not yet: " + e["phase"].(string) }

// renderer answers pictures of any text.
func (w *world) renderer() *bus.Service {
	w.Helper()
	svc, err := bus.NewService(w.conn, bus.ServiceConfig{Name: "qr-renderer"})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = svc.Stop(context.Background()) }) // stopped already in some tests
	err = bus.Handle(svc, bus.SubjectQRRender, func(_ context.Context, req *pb.RenderQrRequest) (*pb.RenderQrReply, error) {
		drawn := req.GetFormat() + " of " + req.GetText() + " at " + req.GetLevel() + numberText(uint64(req.GetSize())) + req.GetForeground()
		return &pb.RenderQrReply{Image: []byte(drawn)}, nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return svc
}

// stream is an open stream of events.
type stream struct {
	testing.TB
	res    *http.Response
	lines  chan string
	cancel context.CancelFunc
}

// sse is one event of a stream; a comment or a bare id has no kind.
type sse struct {
	id, kind, data string
}

func (w *world) events(path, token, lastID string) *stream {
	w.Helper()
	header := http.Header{"Authorization": {"Bearer " + token}}
	if lastID != "" {
		header.Set("Last-Event-ID", lastID)
	}
	return w.eventsWith(path, header)
}

func (w *world) eventsWith(path string, header http.Header) *stream {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		w.Fatalf("stream: %d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	s := &stream{TB: w, res: res, lines: make(chan string, 1000), cancel: cancel}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(s.lines)
		scanner := bufio.NewScanner(res.Body)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			s.lines <- scanner.Text()
		}
	}()
	w.Cleanup(func() {
		cancel()
		res.Body.Close()
		for range s.lines {
		}
		<-done
	})
	return s
}

// next returns the next event, with its comments and bare ids left out; ok is
// false when the stream has ended.
func (s *stream) next() (ev sse, ok bool) {
	s.Helper()
	for {
		ev, ok = s.block()
		if !ok || ev.kind != "" {
			return ev, ok
		}
	}
}

// block returns what stands before the next empty line.
func (s *stream) block() (ev sse, ok bool) {
	s.Helper()
	for {
		select {
		case line, open := <-s.lines:
			if !open {
				return sse{}, false
			}
			name, value, _ := strings.Cut(line, ": ")
			switch name {
			case "":
				return ev, true
			case "id":
				ev.id = value
			case "event":
				ev.kind = value
			case "data":
				ev.data = value
			}
		case <-time.After(patience):
			s.Fatal("nothing came")
		}
	}
}

// wantKind reads the next event and fails unless it is of the kind.
func (s *stream) wantKind(kind string) sse {
	s.Helper()
	ev, ok := s.next()
	if !ok || ev.kind != kind {
		s.Fatalf("got %q (open %v), want %q: %s", ev.kind, ok, kind, ev.data)
	}
	return ev
}
