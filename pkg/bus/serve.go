package bus

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

// Service serves requests. Its endpoints can be found with $SRV.PING, INFO and
// STATS; the figures that count are in STATS under "data".
//
// Each endpoint handles a bounded number of requests at a time, lets a bounded
// number wait, and refuses the rest; a handler that panics costs its caller an
// answer and nobody else anything.
type Service struct {
	conn    *Conn
	cfg     ServiceConfig
	log     *zap.Logger
	micro   micro.Service
	metrics *serviceMetrics
	ctx     context.Context // of every handler; ends when Stop gives up waiting
	cancel  context.CancelFunc

	mu        sync.Mutex
	endpoints map[string]*endpoint // by the name that micro knows
	listeners map[*nats.Subscription]struct{}
	stopped   bool
	inFlight  sync.WaitGroup
}

// NewService registers a service without endpoints; add them with Handle. The
// error tells a name or version that NATS does not accept.
func NewService(c *Conn, cfg ServiceConfig) (*Service, error) {
	if cfg.Version == "" {
		cfg.Version = "0.0.0"
	}
	metrics, err := newServiceMetrics(cfg)
	if err != nil {
		return nil, err
	}
	s := &Service{conn: c, cfg: cfg, log: cfg.Log, metrics: metrics,
		endpoints: map[string]*endpoint{}, listeners: map[*nats.Subscription]struct{}{}}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	s.log = s.log.With(zap.String("service", cfg.Name))
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.micro, err = micro.AddService(c.nc, micro.Config{
		Name:         cfg.Name,
		Version:      cfg.Version,
		Description:  cfg.Description,
		Metadata:     cfg.Metadata,
		QueueGroup:   cfg.Name,
		StatsHandler: s.stats,
		ErrorHandler: func(_ micro.Service, e *micro.NATSError) {
			s.log.Error("service subscription failed", zap.String("subject", e.Subject), zap.String("error", e.Description))
		},
	})
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("bus: service %q: %w", cfg.Name, err)
	}
	return s, nil
}

// ID returns the id by which $SRV.PING.<name>.<id> reaches this very process; no
// responders there means that it is gone.
func (s *Service) ID() string { return s.micro.Info().ID }

// Handle serves a subject. Req and Rep are protobuf message structs, such as
// pb.GetInstanceRequest. Members of a service with the same name share the
// requests.
//
// The handler gets a request that was decoded and validated, and a context with
// the deadline, the trace and the request id. Its error reaches the caller as it
// is when it is or wraps a *instance.Problem; any other is logged and told as
// CodeInternal, a deadline that passed as CodeTimeout. It must not keep the
// request. An empty body counts as an empty object.
//
// When Handle has returned, the server knows of the subject.
func Handle[Req, Rep any](s *Service, subject string, h func(context.Context, *Req) (*Rep, error), opts ...HandleOption) error {
	e, err := newEndpoint(s, subject, h, opts)
	if err != nil {
		return err
	}
	name := strings.NewReplacer(".", "-", "*", "any", ">", "all").Replace(strings.TrimPrefix(subject, prefix))
	s.mu.Lock()
	s.endpoints[name] = e
	s.mu.Unlock()
	err = s.micro.AddEndpoint(name, micro.HandlerFunc(func(r micro.Request) {
		e.accept(call{subject: r.Subject(), reply: r.Reply(), header: nats.Header(r.Headers()), data: r.Data()})
	}), micro.WithEndpointSubject(subject), micro.WithEndpointMetadata(e.metadata()))
	if err != nil {
		return fmt.Errorf("bus: endpoint %s: %w", subject, err)
	}
	// A request right behind would find no responders otherwise.
	if err := s.conn.nc.FlushTimeout(DefaultTimeout); err != nil {
		return fmt.Errorf("bus: endpoint %s: %w", subject, err)
	}
	return nil
}

// Listen serves a subject like Handle, but outside the services framework, for
// what comes and goes while a process lives, such as the sessions of a partition.
// stop ends it: requests that have arrived are still answered. A message without
// reply subject is handled too, and its answer dropped.
func Listen[Req, Rep any](s *Service, subject string, h func(context.Context, *Req) (*Rep, error), opts ...HandleOption) (stop func(), err error) {
	e, err := newEndpoint(s, subject, h, opts)
	if err != nil {
		return nil, err
	}
	sub, err := s.conn.nc.QueueSubscribe(subject, s.cfg.Name, func(m *nats.Msg) {
		e.accept(call{subject: m.Subject, reply: m.Reply, header: m.Header, data: m.Data})
	})
	if err != nil {
		return nil, fmt.Errorf("bus: listening on %s: %w", subject, err)
	}
	s.mu.Lock()
	s.listeners[sub] = struct{}{}
	s.mu.Unlock()
	if err := s.conn.nc.FlushTimeout(DefaultTimeout); err != nil {
		s.unlisten(sub)
		return nil, fmt.Errorf("bus: listening on %s: %w", subject, err)
	}
	return func() { s.unlisten(sub) }, nil
}

// unlisten drains a subscription once. On a closed connection there is nothing to drain.
func (s *Service) unlisten(sub *nats.Subscription) {
	s.mu.Lock()
	_, live := s.listeners[sub]
	delete(s.listeners, sub)
	s.mu.Unlock()
	if live {
		_ = sub.Drain()
	}
}

// cancelGrace is how long Stop waits for handlers whose context it has cancelled.
const cancelGrace = time.Second

// Stop takes no new requests, and waits until those that have arrived are
// answered. When ctx ends first, the handlers' contexts are cancelled and ctx's
// error is returned. The connection stays open.
func (s *Service) Stop(ctx context.Context) error {
	err := s.micro.Stop()
	s.mu.Lock()
	subs := make([]*nats.Subscription, 0, len(s.listeners))
	for sub := range s.listeners {
		subs = append(subs, sub)
	}
	s.mu.Unlock()
	for _, sub := range subs {
		s.unlisten(sub)
	}
	s.settle(ctx)

	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.inFlight.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.cancel()
		err = fmt.Errorf("bus: service %s: handlers cancelled: %w", s.cfg.Name, ctx.Err())
		select {
		case <-done:
		case <-time.After(cancelGrace):
			err = fmt.Errorf("bus: service %s: a handler ignores that its context has ended: %w", s.cfg.Name, ctx.Err())
		}
	}
	s.cancel()
	return err
}

// settle waits until what the server has sent us was handed to the endpoints: the
// flush brings it into this process, the barrier through the subscriptions.
func (s *Service) settle(ctx context.Context) {
	nc := s.conn.nc
	if !nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	if nc.FlushWithContext(ctx) != nil {
		return
	}
	passed := make(chan struct{})
	if nc.Barrier(func() { close(passed) }) != nil {
		return
	}
	select {
	case <-passed:
	case <-ctx.Done():
	}
}

// begin counts a request in, unless the service has stopped.
func (s *Service) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.inFlight.Add(1)
	return true
}

// message returns m as a protobuf message, or nil when its type is none.
func message(m any) proto.Message {
	p, _ := m.(proto.Message)
	return p
}
