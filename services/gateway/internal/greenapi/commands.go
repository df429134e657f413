package greenapi

import (
	"net/http"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// logoutTimeout is how long the answer to a logout waits for the fact.
const logoutTimeout = 15 * time.Second

// reboot restarts the session. The instance keeps its state meanwhile.
func (a *API) reboot(w http.ResponseWriter, r *http.Request, c *called) error {
	var reply pb.CommandReply
	if err := a.Client.Request(r.Context(), bus.SubjectInstancesRestart, &pb.RestartRequest{Ref: string(c.id)}, &reply); err != nil {
		return err
	}
	a.Client.See(r.Context(), reply.GetRevision())
	return answer(w, struct {
		Done bool `json:"isReboot"`
	}{true})
}

// logout answers when the account is unlinked, so that a code can be asked for at once.
func (a *API) logout(w http.ResponseWriter, r *http.Request, c *called) error {
	var reply pb.CommandReply
	if err := a.Client.Request(r.Context(), bus.SubjectInstancesLogout, &pb.LogoutRequest{Ref: string(c.id)}, &reply); err != nil {
		return err
	}
	a.Client.See(r.Context(), reply.GetRevision())
	ctx, done := a.waiting(r)
	defer done()
	o := a.Client.AwaitStatus(ctx, c.id, logoutTimeout, func(s instance.Status) bool {
		return s.ObservedRequest >= reply.GetRequest() && s.Account == nil
	})
	if !o.Settled {
		return &refusal{status: http.StatusInternalServerError, code: instance.CodeTimeout,
			body: "Log out error: the messenger has not confirmed it yet; it goes on, ask for the state."}
	}
	return answer(w, struct {
		Done bool `json:"isLogout"`
	}{true})
}

// updateToken replaces the token; the old one is dead when this is answered.
func (a *API) updateToken(w http.ResponseWriter, r *http.Request, c *called) error {
	var reply pb.RotateTokenReply
	if err := a.Client.Request(r.Context(), bus.SubjectInstancesRotateToken, &pb.RotateTokenRequest{Ref: string(c.id)}, &reply); err != nil {
		return err
	}
	a.Client.See(r.Context(), reply.GetRevision())
	return answer(w, struct {
		Token string `json:"apiTokenInstance"`
	}{reply.GetToken()})
}
