package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/proto"

	pb "pairgate.dev/proto/pairgate/v1"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/bus/bustest"
	"pairgate.dev/pkg/instance"
)

// serving starts a server and a service on it, without streams.
func serving(t *testing.T, cfg bus.ServiceConfig) (*bus.Conn, *bus.Service) {
	t.Helper()
	bustest.CheckGoroutines(t)
	srv := bustest.Server(t)
	c := bustest.Conn(t, srv, bustest.WithoutStreams())
	if cfg.Name == "" {
		cfg.Name = "test-service"
	}
	s, err := bus.NewService(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return bustest.Conn(t, srv, bustest.WithoutStreams()), s
}

func handle[Req, Rep any](t *testing.T, s *bus.Service, subject string, h func(context.Context, *Req) (*Rep, error), opts ...bus.HandleOption) {
	t.Helper()
	if err := bus.Handle(s, subject, h, opts...); err != nil {
		t.Fatal(err)
	}
}

func problemOf(t *testing.T, err error) *instance.Problem {
	t.Helper()
	p, ok := errors.AsType[*instance.Problem](err)
	if !ok {
		t.Fatalf("got %v, want a problem", err)
	}
	return p
}

func TestRequestAndServe(t *testing.T) {
	c, s := serving(t, bus.ServiceConfig{})
	var header atomic.Pointer[string]
	handle(t, s, bus.SubjectInstancesGet, func(ctx context.Context, req *pb.GetInstanceRequest) (*pb.GetInstanceReply, error) {
		id := bus.RequestID(ctx) + " " + bus.RequestSubject(ctx) + " " + trace.SpanContextFromContext(ctx).TraceID().String()
		header.Store(&id)
		if req.GetRef() == "gone" {
			return nil, &instance.Problem{Code: instance.CodeInstanceNotFound, Detail: "No such instance.\nTry list.",
				Errors: []instance.FieldError{{Field: "ref", Message: "unknown"}}, RetryAfter: 3, Phase: instance.Idle, Reason: instance.ReasonCreated}
		}
		if req.GetRef() == "" {
			return nil, nil
		}
		return &pb.GetInstanceReply{Instance: &pb.Instance{Name: req.GetRef(), Number: 1101}}, nil
	})

	t.Run("Reply", func(t *testing.T) {
		parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
		ctx := trace.ContextWithSpanContext(bus.WithRequestID(t.Context(), "req-1"), parent)
		var rep pb.GetInstanceReply
		if err := bus.Request(ctx, c, bus.SubjectInstancesGet, &pb.GetInstanceRequest{Ref: "a"}, &rep); err != nil {
			t.Fatal(err)
		}
		if rep.GetInstance().GetName() != "a" || rep.GetInstance().GetNumber() != 1101 {
			t.Errorf("got %v", &rep)
		}
		if got, want := *header.Load(), "req-1 "+bus.SubjectInstancesGet+" 01000000000000000000000000000000"; got != want {
			t.Errorf("handler saw %q, want %q", got, want)
		}
	})
	t.Run("Problem", func(t *testing.T) {
		p := problemOf(t, bus.Request(t.Context(), c, bus.SubjectInstancesGet, &pb.GetInstanceRequest{Ref: "gone"}, nil))
		if p.Code != instance.CodeInstanceNotFound || p.RetryAfter != 3 || p.Phase != instance.Idle || p.Reason != instance.ReasonCreated || len(p.Errors) != 1 {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("ErrorReplyOnTheWire", func(t *testing.T) {
		m, err := c.NATS().Request(bus.SubjectInstancesGet, []byte(`{"ref":"gone"}`), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("Nats-Service-Error-Code") != "404" || m.Header.Get("Nats-Service-Error") != "instance_not_found: No such instance. Try list." ||
			m.Header.Get("Content-Type") != bus.ContentProblemJSON {
			t.Errorf("headers %v", m.Header)
		}
		var body map[string]any
		if err := json.Unmarshal(m.Data, &body); err != nil || body["code"] != "instance_not_found" || body["status"] != 404.0 || body["title"] != "Instance not found" {
			t.Errorf("body %s", m.Data)
		}
	})
	t.Run("BadJSONNamesFields", func(t *testing.T) {
		m, err := c.NATS().Request(bus.SubjectInstancesGet, []byte(`{"ref":1,"x":2}`), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var p pb.Problem
		if err := bus.DecodeJSON(m.Data, &p); err != nil || len(p.GetErrors()) != 2 || m.Header.Get("Nats-Service-Error-Code") != "400" {
			t.Errorf("%s %v", m.Data, m.Header)
		}
	})
	t.Run("EmptyBodyIsAnEmptyObject", func(t *testing.T) {
		m, err := c.NATS().Request(bus.SubjectInstancesGet, nil, 5*time.Second)
		if err != nil || m.Header.Get("Nats-Service-Error-Code") != "" {
			t.Fatalf("%v %v", m, err)
		}
		if err := bus.Request(t.Context(), c, bus.SubjectInstancesGet, nil, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("Binary", func(t *testing.T) {
		ask := func(ref string) *nats.Msg {
			m := nats.NewMsg(bus.SubjectInstancesGet)
			m.Header.Set("Content-Type", "application/protobuf; charset=x")
			m.Data, _ = proto.Marshal(&pb.GetInstanceRequest{Ref: ref})
			m.Data = append(m.Data, 0xf8, 0x07, 1) // an unknown field
			rep, err := c.NATS().RequestMsg(m, 5*time.Second)
			if err != nil || rep.Header.Get("Content-Type") != bus.ContentProtobuf {
				t.Fatalf("%v, %v", rep, err)
			}
			return rep
		}
		var rep pb.GetInstanceReply
		if err := proto.Unmarshal(ask("b").Data, &rep); err != nil || rep.GetInstance().GetName() != "b" {
			t.Errorf("%v %v", &rep, err)
		}
		var p pb.Problem
		if err := proto.Unmarshal(ask("gone").Data, &p); err != nil || p.GetCode() != "instance_not_found" {
			t.Errorf("%v %v", &p, err)
		}
		m := nats.NewMsg(bus.SubjectInstancesGet)
		m.Header.Set("Content-Type", "application/protobuf")
		m.Data = []byte{0xff}
		if rep, err := c.NATS().RequestMsg(m, 5*time.Second); err != nil || rep.Header.Get("Nats-Service-Error-Code") != "400" {
			t.Errorf("%v, %v", rep, err)
		}
	})
}

func TestServeValidatesWithEveryBadFieldAtOnce(t *testing.T) {
	c, s := serving(t, bus.ServiceConfig{})
	h := func(context.Context, *pb.CreateInstanceRequest) (*pb.CreateInstanceReply, error) {
		return nil, errors.New("must not be called")
	}
	validate := func(m *pb.CreateInstanceRequest) (f instance.FieldErrors) {
		if m.GetName() == "" {
			f.Add("name", "is missing")
		}
		if m.GetProvider() == "" {
			f.Add("provider", "is missing")
		}
		return f
	}
	handle(t, s, bus.SubjectInstancesCreate, h, bus.WithValidate(validate))
	for body, want := range map[string][]string{
		`{"name":1,"x":2}`: {"name", "x", "provider"},
		``:                 {"name", "provider"},
	} {
		m, err := c.NATS().Request(bus.SubjectInstancesCreate, []byte(body), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var p pb.Problem
		if err := bus.DecodeJSON(m.Data, &p); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range p.GetErrors() {
			got = append(got, e.GetField())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", body, got, want)
		}
	}
	if err := bus.Handle(s, "pairgate.v1.test.x", h, bus.WithValidate(func(*pb.GetInstanceRequest) instance.FieldErrors { return nil })); err == nil {
		t.Error("a validation of another type was accepted")
	}
}

func TestRequestProblems(t *testing.T) {
	c, s := serving(t, bus.ServiceConfig{})
	block := make(chan struct{})
	t.Cleanup(func() { close(block) })
	handle(t, s, "pairgate.v1.test.slow", func(ctx context.Context, _ *pb.GetInstanceRequest) (*pb.GetInstanceReply, error) {
		select {
		case <-block:
		case <-ctx.Done():
		}
		return nil, ctx.Err()
	}, bus.WithTimeout(50*time.Millisecond))
	handle(t, s, "pairgate.v1.test.big", func(context.Context, *pb.GetInstanceRequest) (*pb.RenderQrReply, error) {
		return &pb.RenderQrReply{Image: make([]byte, 2<<20)}, nil
	})
	handle(t, s, "pairgate.v1.test.deaf", func(context.Context, *pb.GetInstanceRequest) (*pb.GetInstanceReply, error) {
		<-block
		return nil, nil
	})

	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	cancelled, stop := context.WithCancel(t.Context())
	stop()
	for name, tc := range map[string]struct {
		ctx     context.Context
		subject string
		req     proto.Message
		want    instance.Code
	}{
		"NoResponders":   {t.Context(), "pairgate.v1.test.nobody", nil, instance.CodeUnavailable},
		"HandlerTooSlow": {t.Context(), "pairgate.v1.test.slow", nil, instance.CodeTimeout},
		"CallerGivesUp":  {short, "pairgate.v1.test.deaf", nil, instance.CodeTimeout},
		"RequestTooBig":  {t.Context(), "pairgate.v1.test.slow", &pb.GetInstanceRequest{Ref: strings.Repeat("x", 2<<20)}, instance.CodeBodyTooLarge},
		"ReplyTooBig":    {t.Context(), "pairgate.v1.test.big", nil, instance.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			if p := problemOf(t, bus.Request(tc.ctx, c, tc.subject, tc.req, &pb.GetInstanceReply{})); p.Code != tc.want {
				t.Errorf("got %v, want %s", p, tc.want)
			}
		})
	}
	if err := bus.Request(cancelled, c, "pairgate.v1.test.deaf", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestServeSurvivesPanicsAndHidesErrors(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	c, s := serving(t, bus.ServiceConfig{Log: zap.New(core)})
	handle(t, s, "pairgate.v1.test.panic", func(_ context.Context, r *pb.GetInstanceRequest) (*pb.GetInstanceReply, error) {
		switch r.GetRef() {
		case "runtime":
			_ = []int{}[len(r.GetRef())]
		case "value":
			panic("hunter2")
		}
		return nil, errors.New("the database says no")
	})
	for _, ref := range []string{"runtime", "value", "error"} {
		p := problemOf(t, bus.Request(t.Context(), c, "pairgate.v1.test.panic", &pb.GetInstanceRequest{Ref: ref}, nil))
		if p.Code != instance.CodeInternal || strings.Contains(p.Error(), "database") || strings.Contains(p.Error(), "map") {
			t.Errorf("%s: %v", ref, p)
		}
	}
	bustest.CheckFor(t, 5*time.Second, func() error {
		if n := logs.FilterMessage("handler panicked").Len(); n != 2 {
			return fmt.Errorf("%d panics logged", n)
		}
		return nil
	})
	var all strings.Builder
	for _, e := range logs.All() {
		fmt.Fprint(&all, e.Message, e.ContextMap())
	}
	if strings.Contains(all.String(), "hunter2") {
		t.Error("the log holds the value of a panic")
	}
	for _, want := range []string{"index out of range", "goroutine", "the database says no"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

func TestServeIsBounded(t *testing.T) {
	c, s := serving(t, bus.ServiceConfig{})
	release := make(chan struct{})
	var running, most atomic.Int64
	handle(t, s, "pairgate.v1.test.pool", func(context.Context, *pb.GetInstanceRequest) (*pb.GetInstanceReply, error) {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		return nil, nil
	}, bus.WithConcurrency(3, 4))
	var wg sync.WaitGroup
	var ok, refused atomic.Int64
	for range 20 {
		wg.Go(func() {
			switch err := bus.Request(t.Context(), c, "pairgate.v1.test.pool", nil, nil); {
			case err == nil:
				ok.Add(1)
			case instance.AsProblem(err).Code == instance.CodeUnavailable:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	bustest.CheckFor(t, 5*time.Second, func() error {
		if refused.Load() != 13 || running.Load() != 3 {
			return fmt.Errorf("%d refused, %d running", refused.Load(), running.Load())
		}
		return nil
	})
	close(release)
	wg.Wait()
	if ok.Load() != 7 || most.Load() != 3 {
		t.Errorf("%d answered, at most %d at a time", ok.Load(), most.Load())
	}
	if err := bus.Handle(s, "pairgate.v1.test.bad", func(context.Context, *pb.GetInstanceRequest) (*pb.GetInstanceReply, error) { return nil, nil },
		bus.WithConcurrency(0, 0)); err == nil {
		t.Error("no concurrency was accepted")
	}
}

// TestStopAnswersWhatHasArrived floods a service while one of its two members
// stops: no request may be lost.
func TestStopAnswersWhatHasArrived(t *testing.T) {
	bustest.CheckGoroutines(t)
	srv := bustest.Server(t)
	h := func(context.Context, *pb.GetInstanceRequest) (*pb.GetInstanceReply, error) { return nil, nil }
	var members []*bus.Service
	for range 2 {
		s, err := bus.NewService(bustest.Conn(t, srv, bustest.WithoutStreams()), bus.ServiceConfig{Name: "member"})
		if err != nil {
			t.Fatal(err)
		}
		handle(t, s, "pairgate.v1.test.drain", h)
		members = append(members, s)
		t.Cleanup(func() { _ = s.Stop(context.Background()) })
	}
	c := bustest.Conn(t, srv, bustest.WithoutStreams())
	var wg sync.WaitGroup
	var answered atomic.Int64
	quit := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				if err := bus.Request(t.Context(), c, "pairgate.v1.test.drain", nil, nil); err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	more := func(n int64) {
		from := answered.Load()
		bustest.CheckFor(t, 10*time.Second, func() error {
			if got := answered.Load() - from; got < n {
				return fmt.Errorf("%d answers", got)
			}
			return nil
		})
	}
	more(200)
	if err := members[0].Stop(t.Context()); err != nil {
		t.Error(err)
	}
	more(200)
	close(quit)
	wg.Wait()
}

func TestStopCancelsHandlersThatTakeTooLong(t *testing.T) {
	c, s := serving(t, bus.ServiceConfig{})
	started := make(chan struct{})
	handle(t, s, "pairgate.v1.test.hang", func(ctx context.Context, _ *pb.GetInstanceRequest) (*pb.GetInstanceReply, error) {
		close(started)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	reply := make(chan error, 1)
	go func() { reply <- bus.Request(t.Context(), c, "pairgate.v1.test.hang", nil, nil) }()
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: %v", err)
	}
	if p := problemOf(t, <-reply); p.Code != instance.CodeTimeout {
		t.Errorf("caller: %v", p)
	}
}

func TestListenComesAndGoes(t *testing.T) {
	c, s := serving(t, bus.ServiceConfig{})
	var heard atomic.Int64
	h := func(ctx context.Context, r *pb.PasswordRequest) (*pb.SessionReply, error) {
		if _, id, verb, ok := bus.ParseSessionSubject(bus.RequestSubject(ctx)); !ok || id != testID || verb == "" {
			return nil, instance.Problemf(instance.CodeNoOwner, "wrong subject")
		}
		heard.Add(1)
		return &pb.SessionReply{Status: &pb.Status{Detail: r.GetPassword()}}, nil
	}
	p := testID.Partition()
	stop, err := bus.Listen(s, bus.SessionsOf(p, ""), h)
	if err != nil {
		t.Fatal(err)
	}
	var rep pb.SessionReply
	subject := bus.SessionSubject(p, testID, bus.VerbPassword)
	if err := bus.Request(t.Context(), c, subject, &pb.PasswordRequest{Password: "x"}, &rep); err != nil || rep.GetStatus().GetDetail() != "x" {
		t.Fatalf("%v, %v", &rep, err)
	}
	if err := bus.Send(t.Context(), c, bus.SessionSubject(p, testID, bus.VerbTouch), nil); err != nil {
		t.Fatal(err)
	}
	bustest.CheckFor(t, 5*time.Second, func() error {
		if heard.Load() != 2 {
			return fmt.Errorf("heard %d", heard.Load())
		}
		return nil
	})
	stop()
	stop()
	bustest.CheckFor(t, 5*time.Second, func() error {
		if p := instance.AsProblem(bus.Request(t.Context(), c, subject, nil, nil)); p.Code != instance.CodeUnavailable {
			return p
		}
		return nil
	})
}

func TestServiceCanBeFound(t *testing.T) {
	reg := prometheus.NewRegistry()
	c, s := serving(t, bus.ServiceConfig{Name: "finder", Version: "1.2.3", Description: "d", Metrics: prometheus.WrapRegistererWith(prometheus.Labels{"service": "finder"}, reg)})
	handle(t, s, bus.SubjectQRGet, func(_ context.Context, r *pb.GetQrRequest) (*pb.GetQrReply, error) {
		if r.GetRef() == "" {
			return nil, instance.Problemf(instance.CodeNoQR, "none")
		}
		return nil, nil
	}, bus.WithDescription("current QR"))
	if _, err := c.NATS().Request("$SRV.PING.finder."+s.ID(), nil, 5*time.Second); err != nil {
		t.Errorf("ping: %v", err)
	}
	if _, err := c.NATS().Request("$SRV.PING.finder.other", nil, 5*time.Second); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("ping of a dead one: %v", err)
	}
	m, err := c.NATS().Request("$SRV.INFO.finder", nil, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"qr-get", bus.SubjectQRGet, "pairgate.v1.GetQrRequest", "pairgate.v1.GetQrReply", "current QR", "1.2.3"} {
		if !strings.Contains(string(m.Data), want) {
			t.Errorf("INFO lacks %q: %s", want, m.Data)
		}
	}
	_ = bus.Request(t.Context(), c, bus.SubjectQRGet, nil, nil)
	_ = bus.Request(t.Context(), c, bus.SubjectQRGet, &pb.GetQrRequest{Ref: "x"}, nil)
	bustest.CheckFor(t, 5*time.Second, func() error {
		m, err := c.NATS().Request("$SRV.STATS.finder", nil, 5*time.Second)
		if err != nil {
			return err
		}
		if !strings.Contains(string(m.Data), `"requests":2,"errors":1,"last_error":"no_qr"`) {
			return fmt.Errorf("STATS: %s", m.Data)
		}
		return nil
	})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var counted float64
	for _, f := range families {
		if f.GetName() == "pairgate_bus_requests_total" {
			for _, m := range f.GetMetric() {
				counted += m.GetCounter().GetValue()
			}
		}
	}
	if counted != 2 {
		t.Errorf("metrics count %v requests", counted)
	}
	if _, err := bus.NewService(c, bus.ServiceConfig{Name: "not a name"}); err == nil {
		t.Error("a bad name was accepted")
	}
}
