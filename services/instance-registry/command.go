package registry

import (
	"context"

	"go.uber.org/zap"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// connect asks for a pairing window. Like every command it only writes the wish
// down under the next number: whether there is anything to do is for the owner
// to decide, who knows what the session is.
func (r *registry) connect(ctx context.Context, req *pb.ConnectRequest) (*pb.CommandReply, error) {
	var f instance.FieldErrors
	method, phone := checkConnect(&f, req)
	if err := f.Err(); err != nil {
		return nil, err
	}
	return r.command(ctx, "connect", req.GetRef(), func(rec *pb.InstanceRecord, request uint64) error {
		wish := &pb.PairingWish{Method: string(method), Window: req.GetWindow(), RequestedAt: r.timestamp()}
		if wish.Window == 0 {
			wish.Window = rec.GetInstance().GetQrTimeout()
		}
		var err error
		if wish.Phone, err = pairingPhone(method, phone, rec.GetInstance().GetPhone()); err != nil {
			return err
		}
		rec.ConnectRequest, rec.Pairing = request, wish
		return nil
	})
}

// pairingPhone is the number that a pairing code is asked for: the given one,
// which must be the instance's own where it names one. A QR needs none.
func pairingPhone(method instance.Method, given, own string) (string, error) {
	var f instance.FieldErrors
	switch {
	case given != "" && own != "" && given != own:
		f.Add("phone", "must be the phone number that the instance is restricted to")
	case method == instance.MethodCode && given == "" && own == "":
		f.Add("phone", `is required for method "code"`)
	}
	if method == instance.MethodQR {
		return "", f.Err()
	}
	if given == "" {
		given = own
	}
	return given, f.Err()
}

func (r *registry) logout(ctx context.Context, req *pb.LogoutRequest) (*pb.CommandReply, error) {
	return r.command(ctx, "logout", req.GetRef(), func(rec *pb.InstanceRecord, request uint64) error {
		rec.LogoutRequest = request
		return nil
	})
}

func (r *registry) restart(ctx context.Context, req *pb.RestartRequest) (*pb.CommandReply, error) {
	return r.command(ctx, "restart", req.GetRef(), func(rec *pb.InstanceRecord, request uint64) error {
		rec.RestartRequest = request
		return nil
	})
}

// command stores a wish under the next request number.
func (r *registry) command(ctx context.Context, verb, ref string, wish func(rec *pb.InstanceRecord, request uint64) error) (*pb.CommandReply, error) {
	found, err := r.resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	rec, err := r.change(ctx, found.id(), func(_ context.Context, rec record) error {
		rec.Instance.Request++
		return wish(rec.InstanceRecord, rec.Instance.Request)
	})
	if err != nil {
		return nil, err
	}
	request := rec.GetInstance().GetRequest()
	r.logOf(ctx).Info(verb+" requested", zap.String("instance", string(rec.id())), zap.Uint64("wish", request))
	return &pb.CommandReply{InstanceId: string(rec.id()), Request: request, Revision: rec.revision, Status: bus.StatusToProto(r.status(rec))}, nil
}
