package native

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/web"
)

// qrAnswer is a code as answers show it: with its image, or the reason why there is none.
type qrAnswer struct{ *pb.Qr }

func (q *qrAnswer) encode() (json.RawMessage, error) {
	o, err := q.object()
	if err != nil {
		return nil, err
	}
	return json.Marshal(o)
}

func (q *qrAnswer) object() (web.Object, error) {
	o, err := web.ObjectOf(q.Qr)
	if err != nil {
		return nil, err
	}
	if len(q.GetImage()) > 0 {
		delete(o, "imageReason")
	} else {
		delete(o, "image")
	}
	return o, nil
}

// shownQR is the code of an outcome, nil when it has none.
func shownQR(o client.Outcome) (*qrAnswer, error) {
	switch {
	case o.QR != nil:
		q := proto.CloneOf(o.QR)
		if len(q.GetImage()) == 0 && q.GetImageReason() == "" {
			q.ImageReason = client.RendererUnavailable
		}
		return &qrAnswer{q}, nil
	case o.Code != nil:
		q := proto.CloneOf(o.Code)
		q.Image, q.ImageReason = nil, o.NoImage
		return &qrAnswer{q}, nil
	}
	return nil, nil
}

// current waits for the code of the instance as a request about its QR does, and
// extends the window. The error is the problem of a code that is not there.
func (a *API) current(r *http.Request, id instance.ID, q *web.Query) (*qrAnswer, error) {
	wait := q.Wait()
	if err := q.Bad.Err(); err != nil {
		return nil, err
	}
	a.Client.Touch(r.Context(), id)
	ctx, done := a.waiting(r)
	defer done()
	o := a.Client.AwaitQR(ctx, id, wait)
	answer, err := shownQR(o)
	if answer == nil && err == nil {
		err = notThere(o.Snapshot, instance.CodeNoQR, "There is no QR code to show now; send connect to get one.")
	}
	if err == nil {
		a.Client.Touch(r.Context(), id)
	}
	return answer, err
}

// notThere says why there is no code.
func notThere(s bus.Snapshot, code instance.Code, detail string) *instance.Problem {
	if client.Linked(s) {
		code, detail = instance.CodeAlreadyLinked, "The instance is linked already; log it out to link it anew."
	}
	return &instance.Problem{Code: code, Detail: detail, Phase: s.Status.Phase, Reason: s.Status.Reason}
}

// qr answers the current code with its picture.
func (a *API) qr(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	q := web.ParseQuery(r.URL.RawQuery)
	look := lookOf(q)
	answer, err := a.current(r, id, q)
	if err != nil {
		return err
	}
	if !look.usual {
		err := a.draw(r, id, look, "png", answer.Qr)
		if p, ok := errors.AsType[*instance.Problem](err); ok && p.Code.HTTPStatus() == http.StatusServiceUnavailable {
			answer.Image, answer.ImageReason = nil, client.RendererUnavailable
		} else if err != nil {
			return err
		}
	}
	o, err := answer.object()
	if err != nil {
		return err
	}
	return o.Write(w, http.StatusOK)
}

// contentTypes are those of the pictures by their format.
var contentTypes = map[string]string{"png": "image/png", "svg": "image/svg+xml", "txt": "text/plain; charset=utf-8"}

// picture answers the picture of the current code alone.
func (a *API) picture(format string) func(http.ResponseWriter, *http.Request, instance.ID) error {
	return func(w http.ResponseWriter, r *http.Request, id instance.ID) error {
		q := web.ParseQuery(r.URL.RawQuery)
		look := lookOf(q)
		answer, err := a.current(r, id, q)
		if err != nil {
			return err
		}
		if format != "png" || !look.usual || len(answer.GetImage()) == 0 {
			if err := a.draw(r, id, look, format, answer.Qr); err != nil {
				return err
			}
		}
		return web.Bytes(w, http.StatusOK, contentTypes[format], answer.GetImage())
	}
}

// look is how the query wants a picture to look.
type look struct {
	style  instance.QRStyle
	invert bool
	// usual says that the query wants nothing of its own.
	usual bool
}

// lookOf reads the look from the query; what is wrong with it is in q.Bad. A
// colour may be given without the "#", which a URL would need to escape.
func lookOf(q *web.Query) look {
	colour := func(name string) string {
		text := q.Text(name)
		if text != "" && !strings.HasPrefix(text, "#") {
			text = "#" + text
		}
		return text
	}
	l := look{invert: q.Bool("invert"), style: instance.QRStyle{Foreground: colour("foreground"), Background: colour("background"),
		Level: q.Text("level"), Size: q.Uint32("size"), Margin: q.Uint32("margin")}}
	var more instance.FieldErrors
	l.style = instance.CheckQRStyle(&more, "", l.style)
	q.Bad = bus.MergeFieldErrors(q.Bad, more)
	l.usual = l.style == instance.QRStyle{} && !l.invert
	return l
}

// draw asks the renderer for the picture of the code and puts it into qr. What
// the query leaves open is as in the instance's settings.
func (a *API) draw(r *http.Request, id instance.ID, l look, format string, qr *pb.Qr) error {
	style, err := a.Client.Style(r.Context(), id)
	if err != nil {
		return err
	}
	req := &pb.RenderQrRequest{Text: qr.GetCode(), Format: format, Invert: l.invert,
		Foreground: or(l.style.Foreground, style.GetForeground()), Background: or(l.style.Background, style.GetBackground()),
		Level: or(l.style.Level, style.GetLevel()), Size: or(l.style.Size, style.GetSize()), Margin: or(l.style.Margin, style.GetMargin())}
	if format == "txt" {
		req.Size, req.Foreground, req.Background = 0, "", ""
	}
	var reply pb.RenderQrReply
	if err := a.Client.Request(r.Context(), bus.SubjectQRRender, req, &reply); err != nil {
		return err
	}
	qr.Image = reply.GetImage()
	return nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// pairingCode answers the code to be typed on the phone, and extends the window.
func (a *API) pairingCode(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	q := web.ParseQuery(r.URL.RawQuery)
	wait := q.Wait()
	if err := q.Bad.Err(); err != nil {
		return err
	}
	a.Client.Touch(r.Context(), id)
	ctx, done := a.waiting(r)
	defer done()
	o := a.Client.AwaitPairingCode(ctx, id, wait)
	if o.PairingCode == nil {
		return notThere(o.Snapshot, instance.CodeNoPairingCode, `There is no pairing code to show now; send connect with method "code" to get one.`)
	}
	return web.JSON(w, http.StatusOK, o.PairingCode)
}
