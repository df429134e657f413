package native

import (
	"net/http"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/web"
)

// status answers from the followed stream. It extends no window.
func (a *API) status(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	snap := a.Client.Views().Sessions.Current(id)
	if snap.Known {
		body, err := a.statuses.encode(snap, a.Client.Views().Sessions.Incarnation())
		if err != nil {
			return err
		}
		return web.Bytes(w, http.StatusOK, bus.ContentJSON, body)
	}
	i, err := a.Client.Instance(r.Context(), id)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, i.GetStatus())
}

// password hands the account's password to the session that waits for it. It is
// stored nowhere; what came of it is the next status.
func (a *API) password(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	req := &pb.PasswordRequest{}
	bad, err := web.Decode(w, r, req, "ref")
	if err != nil {
		return err
	}
	req.Ref = string(id)
	var reply pb.SessionReply
	if err := a.Client.Checked(r.Context(), bus.SubjectInstancesPassword, bad, nil, req, &reply); err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, reply.GetStatus())
}

// passkeyResponse hands the authenticator's answer to the session that waits for it.
func (a *API) passkeyResponse(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	req := &pb.PasskeyRequest{}
	bad, err := web.Decode(w, r, req, "ref", "confirm")
	if err != nil {
		return err
	}
	return a.passkey(w, r, id, bad, req)
}

// passkeyConfirm says that the code on both screens is the same.
func (a *API) passkeyConfirm(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	req := &pb.PasskeyRequest{}
	bad, err := web.Decode(w, r, req, "ref", "confirm", "response")
	if err != nil {
		return err
	}
	req.Confirm = true
	return a.passkey(w, r, id, bad, req)
}

func (a *API) passkey(w http.ResponseWriter, r *http.Request, id instance.ID, bad instance.FieldErrors, req *pb.PasskeyRequest) error {
	req.Ref = string(id)
	var reply pb.SessionReply
	if err := a.Client.Checked(r.Context(), bus.SubjectInstancesPasskey, bad, nil, req, &reply); err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, reply.GetStatus())
}
