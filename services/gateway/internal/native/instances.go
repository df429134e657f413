package native

import (
	"net/http"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/web"
)

const headerIdempotencyKey = "Idempotency-Key"

// create answers 201 with the instance, its token and its webhooks.
func (a *API) create(w http.ResponseWriter, r *http.Request) error {
	req := &pb.CreateInstanceRequest{}
	bad, err := web.Decode(w, r, req, "idempotencyKey", "label")
	if err != nil {
		return err
	}
	if key := r.Header.Get(headerIdempotencyKey); key != "" {
		before := len(bad)
		if instance.CheckIdempotencyKey(&bad, headerIdempotencyKey, key); len(bad) == before {
			req.IdempotencyKey = key
		}
	}
	var reply pb.CreateInstanceReply
	if err := a.Client.Checked(r.Context(), bus.SubjectInstancesCreate, bad, nil, req, &reply); err != nil {
		return err
	}
	id := instance.ID(reply.GetInstance().GetId())
	a.Client.SeeInstance(r.Context(), id, func(rec *pb.InstanceRecord) bool { return rec != nil })
	w.Header().Set("Location", "/v1/instances/"+string(id))
	return web.JSON(w, http.StatusCreated, &reply)
}

func (a *API) list(w http.ResponseWriter, r *http.Request) error {
	q := web.ParseQuery(r.URL.RawQuery)
	req := &pb.ListInstancesRequest{Phase: q.Text("phase"), Provider: q.Text("provider"), Name: q.Text("name"),
		PageSize: q.Uint32("pageSize"), PageToken: q.Text("pageToken")}
	var more instance.FieldErrors
	client.CheckList(&more, req)
	if err := bus.MergeFieldErrors(q.Bad, more).Err(); err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, a.Client.List(req))
}

func (a *API) get(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	i, err := a.Client.Instance(r.Context(), id)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, i)
}

func (a *API) update(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	req := &pb.UpdateInstanceRequest{}
	bad, err := web.Decode(w, r, req, "ref")
	if err != nil {
		return err
	}
	req.Ref = string(id)
	var reply pb.UpdateInstanceReply
	if err := a.Client.Checked(r.Context(), bus.SubjectInstancesUpdate, bad, nil, req, &reply); err != nil {
		return err
	}
	a.Client.SeeInstance(r.Context(), id, func(rec *pb.InstanceRecord) bool {
		return rec.GetInstance().GetSpecVersion() >= reply.GetInstance().GetSpecVersion()
	})
	return web.JSON(w, http.StatusOK, reply.GetInstance())
}

// delete answers 204 once the deletion stands, and again for an instance that is
// deleted, which its id and number still lead to.
func (a *API) delete(w http.ResponseWriter, r *http.Request) error {
	ref := r.PathValue("ref")
	if !principalOf(r.Context()).admin {
		id, err := a.reach(r)
		if err != nil {
			return err
		}
		ref = string(id)
	}
	id, found := a.Client.Views().Instances.Resolve(ref)
	var reply pb.DeleteInstanceReply
	if err := a.Client.Request(r.Context(), bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: ref}, &reply); err != nil {
		return err
	}
	if found {
		a.Client.SeeInstance(r.Context(), id, func(rec *pb.InstanceRecord) bool { return rec == nil || bus.InstanceDeleted(rec) })
	}
	return web.NoContent(w)
}

// rotateToken answers the new token; when it is sent, the old one is dead here.
func (a *API) rotateToken(w http.ResponseWriter, r *http.Request, id instance.ID) error {
	req := &pb.RotateTokenRequest{}
	bad, err := web.Decode(w, r, req, "ref")
	if err != nil {
		return err
	}
	req.Ref = string(id)
	var reply pb.RotateTokenReply
	if err := a.Client.Checked(r.Context(), bus.SubjectInstancesRotateToken, bad, nil, req, &reply); err != nil {
		return err
	}
	a.Client.See(r.Context(), reply.GetRevision())
	answer, err := web.ObjectOf(&reply)
	if err != nil {
		return err
	}
	delete(answer, "revision")
	return answer.Write(w, http.StatusOK)
}
