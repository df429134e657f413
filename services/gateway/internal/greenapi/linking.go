package greenapi

import (
	"context"
	"encoding/base64"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/client"
)

// The words of the product for what became of asking for a code.
const (
	// AlreadyLogged says that the instance is linked. The product's documentation has
	// another spelling of it for MAX: already_registered.
	AlreadyLogged = "alreadyLogged"

	typeQR       = "qrCode"
	typeError    = "error"
	typeTimeout  = "timeout"
	typePassword = "pending_password"
	typePasskey  = "passkeyRequired"

	messageLinked   = "instance account already authorized"
	messageNotReady = "not_ready"
	messageTimeout  = "timeout"
	messageClosed   = "connection_closed"
	messagePassword = "the account has a password; send it with sendAuthorizationPassword"
	messagePasskey  = "the messenger asks for a passkey to finish the link"
)

const (
	// firstCode is how long an answer waits for the first code of a window.
	firstCode = 20 * time.Second
	// nextCode is how long it waits at a rotation, which takes a second at most unless
	// the messenger or the renderer is slow: clients take every error for a failure.
	nextCode = 5 * time.Second
)

// outcome is what became of asking for a code.
type outcome struct {
	Type    string `json:"type"`
	Message string `json:"message"`

	// qr is the code in Message.
	qr *pb.Qr
	// code tells machines why there is none.
	code string
}

// link asks for a code: it opens a window unless one is open, else extends it, and
// waits for the current code. It never returns a code that is over.
func (a *API) link(ctx context.Context, c *called) (outcome, error) {
	request, err := a.openWindow(ctx, c.id)
	if err != nil {
		return outcome{}, err
	}
	o := a.await(ctx, c.id, request)
	if request == 0 && unopened(o.Status) {
		// The window ended while its next code was awaited.
		if request, err = a.openWindow(ctx, c.id); err != nil {
			return outcome{}, err
		}
		o = a.await(ctx, c.id, request)
	}
	return a.outcomeOf(c, o), nil
}

func (a *API) await(ctx context.Context, id instance.ID, request uint64) client.Outcome {
	wait := firstCode
	if request == 0 && a.Client.Views().Sessions.Current(id).Status.Phase == instance.Pairing {
		wait = nextCode
	}
	return a.Client.AwaitConnect(ctx, id, request, instance.MethodQR, wait)
}

// unopened says whether a window has to be opened to get a code.
func unopened(s instance.Status) bool { return s.Account == nil && !s.Phase.Window() }

// openWindow opens a pairing window, or extends the one that is open. It returns
// the number of the command, 0 for none. Many may ask at once; one command is sent.
func (a *API) openWindow(ctx context.Context, id instance.ID) (request uint64, err error) {
	if !unopened(a.Client.Views().Sessions.Current(id).Status) {
		a.Client.Touch(ctx, id)
		return 0, nil
	}
	shared := a.opening.DoChan(string(id), func() (any, error) {
		return a.connect(context.WithoutCancel(ctx), &pb.ConnectRequest{Ref: string(id), Method: string(instance.MethodQR), Window: seconds(window)})
	})
	select {
	case result := <-shared:
		request, _ := result.Val.(uint64)
		return request, result.Err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// connectTimeout bounds a command that several requests wait for.
const connectTimeout = 5 * time.Second

func (a *API) connect(ctx context.Context, req *pb.ConnectRequest) (request uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var reply pb.CommandReply
	if err := a.Client.Request(ctx, bus.SubjectInstancesConnect, req, &reply); err != nil {
		return 0, err
	}
	a.Client.See(ctx, reply.GetRevision())
	return reply.GetRequest(), nil
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// outcomeOf puts what was seen into the product's words.
func (a *API) outcomeOf(c *called, o client.Outcome) outcome {
	switch {
	case client.Linked(o.Snapshot) || o.Status.Phase == instance.Syncing:
		return outcome{Type: a.linkedWord(c), Message: messageLinked}
	case o.Status.Phase == instance.PasswordRequired:
		return outcome{Type: typePassword, Message: messagePassword, code: string(o.Status.Reason)}
	case o.Status.Phase == instance.PasskeyRequired:
		return outcome{Type: typePasskey, Message: messagePasskey, code: string(o.Status.Reason)}
	case len(o.QR.GetImage()) > 0:
		return outcome{Type: typeQR, Message: base64.StdEncoding.EncodeToString(o.QR.GetImage()), qr: o.QR}
	case o.Code != nil:
		return outcome{Type: typeError, Message: messageNotReady, code: client.RendererUnavailable}
	}
	return outcome{Type: typeError, Message: trouble(c.provider, o.Status), code: string(o.Status.Reason)}
}

func (a *API) linkedWord(c *called) string {
	if c.max() {
		return a.LinkedMAX
	}
	return AlreadyLogged
}

// trouble says why there is no code, in the product's words where it has some.
func trouble(p instance.Provider, s instance.Status) string {
	switch s.Reason {
	case instance.ReasonUnreachable, instance.ReasonQRTimeout:
		return messageTimeout
	case instance.ReasonConnectionClosed, instance.ReasonKeepaliveTimeout, instance.ReasonLoginRefused, instance.ReasonPairingRefused:
		return messageClosed
	}
	switch {
	case s.Phase == instance.Outdated && p == instance.WhatsApp:
		// Stale versions of other forms are what people have in their files.
		return s.Detail + " A version " + instance.WhatsAppVersionForm + "."
	case s.Phase == instance.Outdated || s.Phase == instance.Blocked:
		return s.Detail // says what to do about it
	}
	return messageNotReady
}
