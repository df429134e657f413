package fleet

import (
	"context"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/session-worker/internal/session"
)

// answerTimeout bounds how long a messenger may take to accept a password, a passkey or a presence.
const answerTimeout = 10 * time.Second

// serve subscribes to what goes straight to the owner of the partition. Who
// sends to a partition without owner hears at once that nobody is there. After
// an error it may be called again.
func (p *partition) serve() error {
	s, timeout := p.fleet.Service, bus.WithTimeout(answerTimeout)
	for _, listen := range []func() (func(), error){
		func() (func(), error) { return bus.Listen(s, bus.SessionsOf(p.number, bus.VerbTouch), p.touch) },
		func() (func(), error) {
			return bus.Listen(s, bus.SessionsOf(p.number, bus.VerbPassword), p.password, timeout)
		},
		func() (func(), error) {
			return bus.Listen(s, bus.SessionsOf(p.number, bus.VerbPasskey), p.passkey, timeout)
		},
		func() (func(), error) {
			return bus.Listen(s, bus.SessionsOf(p.number, bus.VerbPresence), p.presence, timeout)
		},
	}[len(p.stops):] {
		stop, err := listen()
		if err != nil {
			return err
		}
		p.stops = append(p.stops, stop)
	}
	return nil
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

func (p *partition) presence(ctx context.Context, r *pb.PresenceRequest) (*pb.SessionReply, error) {
	id, a := p.asked(ctx)
	if a == nil {
		return nil, session.NotConnected(p.phase(id))
	}
	return &pb.SessionReply{}, a.Presence(ctx, r.GetAvailable())
}
