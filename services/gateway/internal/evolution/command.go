package evolution

import (
	"net/http"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// done is the only envelope that the product has for success.
type done struct {
	Status   string `json:"status"`
	Error    bool   `json:"error"`
	Response struct {
		Message string `json:"message"`
	} `json:"response"`
}

func success(c *call, message string) error {
	d := done{Status: "SUCCESS"}
	d.Response.Message = message
	return answer(c.w, http.StatusOK, d)
}

// restart begins the session anew. A pairing window answers its new code, a linked
// instance the state that it has then.
func (a *API) restart(c *call) error {
	if stateOf(c.one) == dialect.EvolutionClose {
		return a.failed(c, notConnected(c.one.GetName()))
	}
	ctx, cancel := a.waiting(c.r)
	defer cancel()
	typed := a.Client.Views().Sessions.Current(c.id()).PairingCode
	var reply pb.CommandReply
	if err := a.Client.Request(ctx, bus.SubjectInstancesRestart, &pb.RestartRequest{Ref: string(c.id())}, &reply); err != nil {
		return a.failed(c, err)
	}
	a.Client.See(ctx, reply.GetRevision())
	if c.one.GetStatus().GetAccount() != nil {
		o := a.Client.AwaitStatus(ctx, c.id(), a.Wait, func(s instance.Status) bool {
			return s.ObservedRequest >= reply.GetRequest() && (s.Phase != instance.Offline || stopped(s))
		})
		return answer(c.w, http.StatusOK, stateIs(c.one, stateNow(o.Snapshot)))
	}
	method := instance.MethodQR
	if typed.GetCode() != "" {
		method = instance.MethodCode
	}
	shown := a.await(ctx, c.one, reply.GetRequest(), method)
	if shown.state == dialect.EvolutionOpen {
		return answer(c.w, http.StatusOK, stateIs(c.one, shown.state))
	}
	return answer(c.w, http.StatusOK, shown.qr)
}

// logout answers after the fact.
func (a *API) logout(c *call) error {
	if stateOf(c.one) == dialect.EvolutionClose {
		return notConnected(c.one.GetName())
	}
	ctx, cancel := a.waiting(c.r)
	defer cancel()
	var reply pb.CommandReply
	if err := a.Client.Request(ctx, bus.SubjectInstancesLogout, &pb.LogoutRequest{Ref: string(c.id())}, &reply); err != nil {
		return err
	}
	a.Client.See(ctx, reply.GetRevision())
	o := a.Client.AwaitStatus(ctx, c.id(), logoutWait, func(s instance.Status) bool {
		return s.ObservedRequest >= reply.GetRequest() && s.Phase == instance.Idle
	})
	if !o.Settled {
		return exception(http.StatusInternalServerError, "Error: the logout is not finished yet; it goes on by itself")
	}
	return success(c, "Instance logged out")
}

// delete always ends with the instance gone: unlinking the device goes on behind it.
func (a *API) delete(c *call) error {
	ctx := c.r.Context()
	if err := a.Client.Request(ctx, bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: string(c.id())}, nil); err != nil {
		return err
	}
	a.Client.SeeInstance(ctx, c.id(), func(rec *pb.InstanceRecord) bool { return rec == nil || bus.InstanceDeleted(rec) })
	return success(c, "Instance deleted")
}
