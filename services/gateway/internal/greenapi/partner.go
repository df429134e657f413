package greenapi

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	"pairgate.dev/pkg/seal"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/client"
	"pairgate.dev/services/gateway/internal/web"
)

// partnerMethod is a method on /partner/{method}/{partnerToken}.
type partnerMethod struct {
	name, verb string
	serve      func(a *API, w http.ResponseWriter, r *http.Request, v3 bool) error
}

var partnerMethods = []partnerMethod{
	{"createInstance", http.MethodPost, (*API).createInstance},
	{"getInstances", http.MethodGet, (*API).getInstances},
	{"deleteInstanceAccount", http.MethodPost, (*API).deleteInstanceAccount},
}

// refused is how partner methods fail: with 200. One client compares the bytes.
type refused struct {
	Code        int    `json:"code"`
	Description string `json:"description"`
}

// partner serves a partner method.
func (a *API) partner(w http.ResponseWriter, r *http.Request, p path) error {
	for _, m := range partnerMethods {
		if !strings.EqualFold(m.name, p.method) {
			continue
		}
		web.SetRoute(w, "/partner/"+m.name+"/{token}")
		if m.verb != r.Method {
			return errNoMethod
		}
		if a.PartnerToken == "" || !seal.Equal(p.token, a.PartnerToken.Reveal()) {
			if a.Misses.Allow(w, "from "+web.Address(r)) != nil {
				return errTooMany
			}
			w.Header().Set(headerCode, string(instance.CodeUnauthorized))
			return answer(w, refused{http.StatusUnauthorized, "Unauthorized"})
		}
		if err := a.Client.Ready(r.Context()); err != nil {
			return err
		}
		return m.serve(a, w, r, p.v3)
	}
	web.SetRoute(w, "/partner/{unknown}")
	return errNoMethod
}

// deleteInstanceAccount deletes an instance; its device is logged out, too.
func (a *API) deleteInstanceAccount(w http.ResponseWriter, r *http.Request, _ bool) error {
	body, err := readObject(w, r)
	if err != nil {
		return err
	}
	number, ok := body.integer("idInstance")
	if !ok {
		return invalid(instance.FieldErrors{{Field: "idInstance", Message: "is required: the number of an instance"}})
	}
	id, err := a.numbered(r, number)
	if errors.Is(err, client.ErrNoInstance) {
		w.Header().Set(headerCode, string(instance.CodeInstanceNotFound))
		return answer(w, refused{http.StatusNotFound, "Not found"})
	}
	if err != nil {
		return err
	}
	if err := a.Client.Request(r.Context(), bus.SubjectInstancesDelete, &pb.DeleteInstanceRequest{Ref: string(id)}, nil); err != nil {
		return err
	}
	a.Client.SeeInstance(r.Context(), id, func(rec *pb.InstanceRecord) bool { return rec == nil || bus.InstanceDeleted(rec) })
	return answer(w, struct {
		Deleted bool `json:"deleteInstanceAccount"`
	}{true})
}

// numbered finds an instance by its number alone. The error is client.ErrNoInstance
// when there is none that is not deleted.
func (a *API) numbered(r *http.Request, number uint64) (instance.ID, error) {
	id, err := a.Client.Resolve(r.Context(), strconv.FormatUint(number, 10))
	if err != nil {
		return "", err
	}
	i, err := a.Client.Instance(r.Context(), id)
	if err == nil && i.GetNumber() != number {
		err = client.ErrNoInstance
	}
	return id, err
}
