package greenapi

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// defaultDelay is delaySendMessagesMilliseconds of a new instance.
const defaultDelay = "500"

// createInstance makes an instance: of MAX on /v3, else of WhatsApp, unless the body
// says typeInstance itself. It can be linked as soon as this is answered.
func (a *API) createInstance(w http.ResponseWriter, r *http.Request, v3 bool) error {
	body, err := readObject(w, r)
	if err != nil {
		return err
	}
	req, bad := creation(body, v3)
	var reply pb.CreateInstanceReply
	if err := a.create(r.Context(), req, bad, &reply); err != nil {
		return err
	}
	made := reply.GetInstance()
	id := instance.ID(made.GetId())
	a.Client.SeeInstance(r.Context(), id, func(rec *pb.InstanceRecord) bool { return rec != nil })
	if hook := pickHook(reply.GetWebhooks()); hook != nil {
		a.Client.SeeEndpoint(r.Context(), id, func(all []*pb.EndpointRecord) bool { return hasHook(all, hook) })
	}
	return answer(w, struct {
		Number uint64 `json:"idInstance"`
		Token  string `json:"apiTokenInstance"`
		Type   string `json:"typeInstance"`
	}{made.GetNumber(), reply.GetToken(), dialect.GreenType(instance.Provider(made.GetProvider()))})
}

// creation reads the body of a creation and names everything that is bad with it.
func creation(body object, v3 bool) (*pb.CreateInstanceRequest, instance.FieldErrors) {
	change, bad := parseSettings(body)
	req := &pb.CreateInstanceRequest{Provider: string(instance.WhatsApp)}
	if v3 {
		req.Provider = string(instance.MAX)
	}
	if len(body) == 0 {
		bad.Add("", "name or at least one setting is required")
	}
	if body.has("name") {
		name, ok := body.text("name")
		if !ok {
			bad.Add("name", "must be a text")
		}
		req.Label = name
	}
	if body.has("typeInstance") {
		kind, _ := body.text("typeInstance")
		switch kind {
		case dialect.GreenType(instance.WhatsApp):
			req.Provider = string(instance.WhatsApp)
		case dialect.GreenType(instance.MAX):
			req.Provider = string(instance.MAX)
		default:
			bad.Add("typeInstance", `must be "whatsapp" or "v3"`)
		}
	}
	settings := change.apply(nil)
	if settings.Values["delaySendMessagesMilliseconds"] == "" {
		settings.Values["delaySendMessagesMilliseconds"] = defaultDelay
	}
	url := deref(change.url)
	if url != "" || deref(change.token) != "" {
		req.Webhooks = []*pb.WebhookSpec{newHook(url, change.token, settings)}
	}
	req.Settings = &pb.InstanceSettings{GreenApi: settings}
	return req, bad
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// createTries bounds the search for a free number.
const createTries = 16

// create sends the creation. The name that the partner gave is the instance's own
// where it can be; else the instance is called by its number, and the name stays as a label.
func (a *API) create(ctx context.Context, req *pb.CreateInstanceRequest, bad instance.FieldErrors, reply *pb.CreateInstanceReply) error {
	var f instance.FieldErrors
	name := instance.CheckName(&f, "name", req.GetLabel())
	if len(f) == 0 {
		req.Name = name
		err := a.Client.Checked(ctx, bus.SubjectInstancesCreate, bad, asCreation, req, reply)
		if p, ok := errors.AsType[*instance.Problem](err); !ok || !nameRefused(p) {
			return err
		}
	}
	for try := 1; ; try++ {
		req.Number = madeNumber(instance.Provider(req.GetProvider()))
		req.Name = "Instance " + strconv.FormatUint(req.GetNumber(), 10)
		err := a.Client.Checked(ctx, bus.SubjectInstancesCreate, bad, asCreation, req, reply)
		p, ok := errors.AsType[*instance.Problem](err)
		if !ok || try == createTries || p.Code != instance.CodeNumberTaken && p.Code != instance.CodeNameTaken {
			return err
		}
	}
}

// nameRefused says that the name is all that was wrong.
func nameRefused(p *instance.Problem) bool {
	if p.Code == instance.CodeNameTaken {
		return true
	}
	return p.Code == instance.CodeInvalidRequest && len(p.Errors) > 0 &&
		!slices.ContainsFunc(p.Errors, func(e instance.FieldError) bool { return e.Field != "name" })
}

// madeNumber makes a number as the registry does: the provider's four digits, and six more.
func madeNumber(p instance.Provider) uint64 {
	const room = 1_000_000
	return p.NumberPrefix()*room + rand.Uint64N(room)
}

// asCreation gives the registry's paths the names that partners know.
func asCreation(field string) string {
	switch {
	case strings.HasPrefix(field, "webhooks"):
		return asSettings(field)
	case field == "label":
		return "name"
	case field == "provider":
		return "typeInstance"
	}
	return field
}
