package fleet

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/internal/session"
)

// answerTimeout bounds how long a messenger may take to accept a password or a passkey.
const answerTimeout = 10 * time.Second

// serve subscribes to what goes straight to the owner of the partition. Who
// sends to a partition without owner hears at once that nobody is there.
func (p *partition) serve() error {
	listen := func(stop func(), err error) error {
		if err == nil {
			p.stops = append(p.stops, stop)
		}
		return err
	}
	s, timeout := p.fleet.Service, bus.WithTimeout(answerTimeout)
	if err := listen(bus.Listen(s, bus.SessionsOf(p.number, bus.VerbTouch), p.touch)); err != nil {
		return err
	}
	if err := listen(bus.Listen(s, bus.SessionsOf(p.number, bus.VerbPassword), p.password, timeout)); err != nil {
		return err
	}
	return listen(bus.Listen(s, bus.SessionsOf(p.number, bus.VerbPasskey), p.passkey, timeout))
}

// asked returns the instance that the request at hand is for, and its actor if it has one.
func (p *partition) asked(ctx context.Context) (instance.ID, *session.Actor) {
	_, id, _, ok := bus.ParseSessionSubject(bus.RequestSubject(ctx))
	if !ok {
		return "", nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.actors[id]; m != nil {
		return id, m.actor
	}
	return id, nil
}

func (p *partition) touch(ctx context.Context, _ *pb.TouchRequest) (*pb.SessionReply, error) {
	if _, a := p.asked(ctx); a != nil {
		a.Touch()
	}
	return &pb.SessionReply{}, nil
}

func (p *partition) password(ctx context.Context, r *pb.PasswordRequest) (*pb.SessionReply, error) {
	id, a := p.asked(ctx)
	if a == nil {
		return nil, session.NotAsked(p.phase(id))
	}
	return &pb.SessionReply{}, a.Password(ctx, r.GetPassword())
}

func (p *partition) passkey(ctx context.Context, r *pb.PasskeyRequest) (*pb.SessionReply, error) {
	id, a := p.asked(ctx)
	if a == nil {
		return nil, session.NotAsked(p.phase(id))
	}
	return &pb.SessionReply{}, a.Passkey(ctx, r.GetResponse(), r.GetConfirm())
}

// statusReader decodes what a round reads.
func statusReader(log *zap.Logger, each func(instance.ID, instance.Status)) func(jetstream.Msg) error {
	return func(m jetstream.Msg) error {
		id, kind, ok := bus.ParseEventSubject(m.Subject())
		if !ok || kind != instance.KindStatus {
			return nil
		}
		e, err := bus.DecodeEvent(m.Data())
		if err != nil || e.GetStatus() == nil {
			// It counts as no status; the next one replaces it.
			log.Error("a stored status cannot be read", zap.String("instance", string(id)), zap.Error(err))
			return nil
		}
		each(id, bus.StatusFromProto(e.GetStatus()))
		return nil
	}
}
