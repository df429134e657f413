package evolution

import (
	"context"
	"net/http"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/client"
)

// failedAnswer is what the product answers, with status 200, when connect or restart fails.
type failedAnswer struct {
	Error   bool   `json:"error"`
	Message string `json:"message"`
}

// connect opens a pairing window unless one is open, and answers its current code.
// Failures are answers with status 200, as clients of the product know them, but say what failed.
func (a *API) connect(c *call) error {
	phone, given := c.r.URL.Query().Get("number"), true
	if phone == "" {
		phone, given = c.one.GetSettings().GetEvolution().GetNumber(), false
	}
	phone, ok := phoneOf(phone)
	if !ok && given {
		return answer(c.w, http.StatusOK, failedAnswer{true, wantedNumber})
	}
	if stateOf(c.one) == dialect.EvolutionOpen {
		return answer(c.w, http.StatusOK, stateIs(c.one, dialect.EvolutionOpen))
	}
	shown, err := a.pair(c, phone)
	if err != nil {
		return a.failed(c, err)
	}
	if shown.state == dialect.EvolutionOpen {
		return answer(c.w, http.StatusOK, stateIs(c.one, shown.state))
	}
	return answer(c.w, http.StatusOK, shown.qr)
}

// failed answers what went wrong in the way of connect and restart.
func (a *API) failed(c *call, err error) error {
	f, ok := asFailure(err)
	if !ok {
		return err
	}
	message, ok := f.message.(string)
	if list, many := f.message.([]string); many && len(list) > 0 {
		message, ok = list[0], true
	}
	if !ok {
		return err
	}
	return answer(c.w, http.StatusOK, failedAnswer{true, message})
}

// shown is what a pairing window shows.
type shown struct {
	qr    qrCode
	state string
}

// pair shows the current code of the instance, and with a phone the code to be typed
// on it: of the window that is open, which is extended, or of a new one. It waits for
// the first code. A code to be typed stays the same as long as it lives.
func (a *API) pair(c *call, phone string) (shown, error) {
	ctx, done := a.waiting(c.r)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, a.Wait)
	defer cancel()
	now := a.Client.Views().Sessions.Current(c.id())
	if now.Status.Phase == instance.Pairing && (phone == "" || lives(now.PairingCode, phone)) {
		a.Client.Touch(ctx, c.id())
		return a.show(ctx, c.one, 0), nil
	}
	req := &pb.ConnectRequest{Ref: string(c.id()), Window: a.window()}
	if phone != "" {
		req.Method, req.Phone = string(instance.MethodCode), phone
	}
	var reply pb.CommandReply
	if err := a.Client.Request(ctx, bus.SubjectInstancesConnect, req, &reply); err != nil {
		return shown{}, err
	}
	a.Client.See(ctx, reply.GetRevision())
	return a.await(ctx, c.one, reply.GetRequest(), instance.Method(req.GetMethod())), nil
}

func lives(code *pb.PairingCode, phone string) bool {
	return code.GetCode() != "" && code.GetPhone() == phone && time.Now().Before(code.GetExpiresAt().AsTime())
}

// await waits until the command shows a code, or anything else that settles it. A
// linked instance that is being restored is given the time to come back.
func (a *API) await(ctx context.Context, one *pb.Instance, request uint64, method instance.Method) shown {
	id := instance.ID(one.GetId())
	o := a.Client.AwaitConnect(ctx, id, request, method, a.Wait)
	if o.Status.Phase == instance.Offline && o.Status.ObservedRequest >= request {
		a.Client.AwaitStatus(ctx, id, a.Wait, func(s instance.Status) bool { return s.Phase != instance.Offline || stopped(s) })
	}
	return a.show(ctx, one, request)
}

// stopped says that a linked instance does not try to come back.
func stopped(s instance.Status) bool {
	return s.Reason == instance.ReasonReplaced || s.Reason == instance.ReasonKeysMissing || s.Reason == instance.ReasonProviderMissing
}

// show says what the window shows now. While one is open, a code that is about to
// come is waited for.
func (a *API) show(ctx context.Context, one *pb.Instance, request uint64) shown {
	id := instance.ID(one.GetId())
	o := a.Client.AwaitQR(ctx, id, 0)
	if o.QR == nil && o.Code == nil && o.Status.Phase == instance.Pairing {
		o = a.Client.AwaitQR(ctx, id, a.Wait)
	}
	out := shown{state: stateNow(o.Snapshot), qr: whyNot(one, o, request)}
	switch {
	case o.QR != nil:
		out.qr.show(o.QR)
	case o.Code != nil:
		out.qr.show(o.Code)
	}
	out.qr.typed(o.PairingCode)
	return out
}

// whyNot says why there is no code, in the words of the status.
func whyNot(one *pb.Instance, o client.Outcome, request uint64) qrCode {
	if o.Status.ObservedRequest < request {
		return qrCode{reason: string(instance.CodeNoOwner), message: "No worker has taken the request up yet; try again in a moment."}
	}
	return qrCode{reason: string(o.Status.Reason), message: explained(one, o.Status.Phase, o.Status.Detail)}
}

// explained adds to the detail of a status what the product's users have to know:
// their files often hold a version of WhatsApp in a form that is long retired.
func explained(one *pb.Instance, phase instance.Phase, detail string) string {
	if phase == instance.Outdated && one.GetProvider() == string(instance.WhatsApp) {
		return detail + " A version " + instance.WhatsAppVersionForm + "."
	}
	return detail
}
