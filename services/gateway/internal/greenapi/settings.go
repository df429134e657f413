package greenapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/web"
)

// getSettings shows every setting in the product's order.
func (a *API) getSettings(w http.ResponseWriter, r *http.Request, c *called) error {
	i, err := a.Client.Instance(r.Context(), c.id)
	if err != nil {
		return err
	}
	hook, err := a.hookOf(r.Context(), c.id)
	if err != nil {
		return err
	}
	settings := i.GetSettings().GetGreenApi()
	shownURL, shownToken, err := a.shownHook(r.Context(), hook, settings)
	if err != nil {
		return err
	}
	s := a.see(c.id)
	var out members
	for _, k := range keysOf(c.provider) {
		value, set := settings.GetValues()[k.name]
		switch {
		case k.name == "wid":
			out.add(k.name, s.wid())
		case k.name == "typeInstance":
			out.add(k.name, dialect.GreenType(c.provider))
		case k.name == "webhookUrl":
			out.add(k.name, shownURL)
		case k.name == "webhookUrlToken":
			out.add(k.name, shownToken)
		case k.kind == flag:
			out.add(k.name, yesNo(slices.Contains(settings.GetFlags(), k.name)))
		case k.kind == ignored:
			out.add(k.name, k.value)
		case !set && k.whenSet:
		case !set:
			out.add(k.name, json.RawMessage(k.value))
		case value == "yes" || value == "no":
			out.add(k.name, value)
		default:
			out.add(k.name, json.RawMessage(value))
		}
	}
	return answer(w, out)
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// setSettings changes settings. They hold when it is answered, and the session goes on.
func (a *API) setSettings(w http.ResponseWriter, r *http.Request, c *called) error {
	body, err := readObject(w, r)
	if err != nil {
		return err
	}
	change, bad := parseSettings(body)
	if len(body) == 0 {
		bad.Add("", "at least one setting is required")
	}
	if err := a.change(r.Context(), c, change, bad); err != nil {
		return err
	}
	return answer(w, struct {
		Saved bool `json:"saveSettings"`
	}{true})
}

// change carries a change out, unless something of it is bad.
func (a *API) change(ctx context.Context, c *called, change settingsChange, bad instance.FieldErrors) error {
	unlock, err := a.changing.lock(ctx, c.id)
	if err != nil {
		return err
	}
	defer unlock()
	// The registry's word, not the view's: what is read here is written back.
	var now pb.GetInstanceReply
	if err := a.Client.Request(ctx, bus.SubjectInstancesGet, &pb.GetInstanceRequest{Ref: string(c.id)}, &now); err != nil {
		return err
	}
	settings := proto.CloneOf(now.GetInstance().GetSettings())
	if settings == nil {
		settings = &pb.InstanceSettings{}
	}
	settings.GreenApi = change.apply(settings.GetGreenApi())
	// The webhook first: its URL may be refused, and then nothing has changed.
	if err := a.changeHook(ctx, c.id, change, settings.GetGreenApi(), bad); err != nil {
		return err
	}
	return a.store(ctx, c.id, settings)
}

func (a *API) store(ctx context.Context, id instance.ID, settings *pb.InstanceSettings) error {
	var reply pb.UpdateInstanceReply
	if err := a.Client.Request(ctx, bus.SubjectInstancesUpdate, &pb.UpdateInstanceRequest{Ref: string(id), Settings: settings}, &reply); err != nil {
		return err
	}
	a.Client.SeeInstance(ctx, id, func(rec *pb.InstanceRecord) bool {
		return rec.GetInstance().GetSpecVersion() >= reply.GetInstance().GetSpecVersion()
	})
	return nil
}

// members is a JSON object whose members keep their order.
type members []member

type member struct {
	name  string
	value any
}

func (m *members) add(name string, value any) { *m = append(*m, member{name, value}) }

// MarshalJSON implements json.Marshaler.
func (m members) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, one := range m {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := web.PlainJSON(one.name)
		if err != nil {
			return nil, err
		}
		value, err := web.PlainJSON(one.value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}
