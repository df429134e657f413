package registry

import (
	"context"
	"errors"

	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// A password or an authenticator's answer is no wish: it is never stored, but
// handed to the owner of the instance's session, or refused when there is none.

func (r *registry) password(ctx context.Context, req *pb.PasswordRequest) (*pb.SessionReply, error) {
	return r.toOwner(ctx, req.GetRef(), bus.VerbPassword, req)
}

func (r *registry) passkey(ctx context.Context, req *pb.PasskeyRequest) (*pb.SessionReply, error) {
	return r.toOwner(ctx, req.GetRef(), bus.VerbPasskey, req)
}

var errNoOwner = &instance.Problem{Code: instance.CodeNoOwner, RetryAfter: 2,
	Detail: "No worker has this instance at the moment; another one is about to take it over."}

func (r *registry) toOwner(ctx context.Context, ref, verb string, req proto.Message) (*pb.SessionReply, error) {
	rec, err := r.resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	reply := &pb.SessionReply{}
	err = bus.Request(ctx, r.conn, bus.SessionSubject(rec.id().Partition(), rec.id(), verb), req, reply)
	if p, ok := errors.AsType[*instance.Problem](err); ok && p.Code == instance.CodeUnavailable {
		return nil, errNoOwner
	}
	if err != nil {
		return nil, err
	}
	r.logOf(ctx).Info(verb+" handed to the owner", zap.String("instance", string(rec.id())))
	if reply.Status == nil {
		// The owner has only taken it; what it makes of it comes later, as a status.
		reply.Status = bus.StatusToProto(r.status(rec))
	}
	return reply, nil
}
