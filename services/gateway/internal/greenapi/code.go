package greenapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/client"
)

// codeAnswer is the answer to getAuthorizationCode; its zero value says that there is none.
type codeAnswer struct {
	Status bool   `json:"status"`
	Code   string `json:"code"`
}

// getAuthorizationCode answers the code to be typed on the phone. Asked again
// within its life, it answers the same code; for another phone, a new one.
func (a *API) getAuthorizationCode(w http.ResponseWriter, r *http.Request, c *called) error {
	body, err := readObject(w, r)
	if err != nil {
		return err
	}
	n, ok := body.integer("phoneNumber")
	phone := strconv.FormatUint(n, 10)
	var bad instance.FieldErrors
	switch {
	case !body.has("phoneNumber"):
		bad.Add("phoneNumber", "is required")
	case !ok:
		bad.Add("phoneNumber", "must be a whole number: the phone number in international form, without + or 00")
	default:
		instance.CheckPhone(&bad, "phoneNumber", phone)
	}
	if len(bad) > 0 {
		return invalid(bad)
	}
	ctx, done := a.waiting(r)
	defer done()
	o, err := a.pairingCode(ctx, c.id, phone)
	if err != nil {
		return err
	}
	if o.PairingCode.GetPhone() != phone {
		w.Header().Set(headerCode, whyNoCode(o))
		return answer(w, codeAnswer{})
	}
	return answer(w, codeAnswer{true, strings.ReplaceAll(o.PairingCode.GetCode(), "-", "")})
}

func (a *API) pairingCode(ctx context.Context, id instance.ID, phone string) (client.Outcome, error) {
	now := a.Client.Views().Sessions.Current(id)
	switch {
	case client.Linked(now) || now.Status.Phase == instance.Syncing:
		return client.Outcome{Snapshot: now}, nil
	case now.PairingCode.GetPhone() == phone:
		a.Client.Touch(ctx, id)
		return client.Outcome{Snapshot: now, Settled: true}, nil
	}
	request, err := a.connect(ctx, &pb.ConnectRequest{Ref: string(id), Method: string(instance.MethodCode), Phone: phone, Window: seconds(codeWindow)})
	if err != nil {
		return client.Outcome{}, err
	}
	return a.Client.AwaitConnect(ctx, id, request, instance.MethodCode, firstCode), nil
}

func whyNoCode(o client.Outcome) string {
	if client.Linked(o.Snapshot) {
		return string(instance.CodeAlreadyLinked)
	}
	return string(o.Status.Reason)
}
