package renderer

import (
	"context"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"

	"pairgate.dev/services/qr-renderer/internal/picture"
)

// waitingRequests is how many requests may wait for a processor; each takes a few milliseconds.
const waitingRequests = 256

// handleRender serves pairgate.v1.qr.render.
func handleRender(svc *bus.Service, workers int, m *metrics) error {
	return bus.Handle(svc, bus.SubjectQRRender,
		func(_ context.Context, req *pb.RenderQrRequest) (*pb.RenderQrReply, error) {
			p, err := m.draw(sourceRequest, req.GetText(), optionsOf(req))
			if err != nil {
				return nil, err
			}
			return &pb.RenderQrReply{Image: p.Data, ContentType: p.ContentType}, nil
		},
		bus.WithConcurrency(workers, waitingRequests),
		bus.WithDescription("Draws any text as a QR code: PNG, SVG or text for a terminal."),
		bus.WithValidate(func(req *pb.RenderQrRequest) instance.FieldErrors {
			return picture.Check(req.GetText(), optionsOf(req))
		}))
}

func optionsOf(req *pb.RenderQrRequest) picture.Options {
	return picture.Options{
		Format: picture.Format(req.GetFormat()),
		Invert: req.GetInvert(),
		Style: instance.QRStyle{
			Foreground: req.GetForeground(), Background: req.GetBackground(), Level: req.GetLevel(),
			Size: req.GetSize(), Margin: req.GetMargin(),
		},
	}
}
