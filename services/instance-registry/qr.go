package registry

import (
	"context"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// getQR answers with the code that may be shown now. It asks for nothing and
// extends nothing.
func (r *registry) getQR(ctx context.Context, req *pb.GetQrRequest) (*pb.GetQrReply, error) {
	rec, err := r.resolve(ctx, req.GetRef())
	if err != nil {
		return nil, err
	}
	now := r.views.Sessions.Current(rec.id())
	status := r.status(rec)
	switch {
	case now.QR != nil:
		return &pb.GetQrReply{Qr: now.QR, Status: bus.StatusToProto(status)}, nil
	case now.Code != nil:
		qr := proto.CloneOf(now.Code)
		qr.ImageReason = "not_drawn_yet"
		return &pb.GetQrReply{Qr: qr, Status: bus.StatusToProto(status)}, nil
	}
	p := instance.Problemf(instance.CodeNoQR, "There is no QR code to show now; send connect to get one.")
	if status.Account != nil {
		p = instance.Problemf(instance.CodeAlreadyLinked, "The instance is linked already; log it out to link it anew.")
	}
	p.Phase, p.Reason = status.Phase, status.Reason
	return nil, p
}
