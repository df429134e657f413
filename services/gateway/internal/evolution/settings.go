package evolution

import (
	"net/http"
	"slices"

	"google.golang.org/protobuf/proto"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
)

// settings are shown as they were told. They concern messages and calls, which this
// server has nothing to do with, so they change nothing.
type settings struct {
	RejectCall      bool   `json:"rejectCall"`
	MsgCall         string `json:"msgCall"`
	GroupsIgnore    bool   `json:"groupsIgnore"`
	AlwaysOnline    bool   `json:"alwaysOnline"`
	ReadMessages    bool   `json:"readMessages"`
	ReadStatus      bool   `json:"readStatus"`
	SyncFullHistory bool   `json:"syncFullHistory"`
	WavoipToken     string `json:"wavoipToken"`
}

func settingsOf(one *pb.Instance) settings {
	e := one.GetSettings().GetEvolution()
	is := func(name string) bool { return slices.Contains(e.GetFlags(), name) }
	return settings{RejectCall: is("rejectCall"), MsgCall: e.GetValues()["msgCall"], GroupsIgnore: is("groupsIgnore"),
		AlwaysOnline: is("alwaysOnline"), ReadMessages: is("readMessages"), ReadStatus: is("readStatus"),
		SyncFullHistory: is("syncFullHistory"), WavoipToken: e.GetValues()["wavoipToken"]}
}

// settingsFrom puts the settings of a request into e, those that are absent stay.
func settingsFrom(object map[string]any, e *pb.EvolutionSettings) *pb.EvolutionSettings {
	for _, p := range settingsProperties {
		switch value := object[p.name].(type) {
		case bool:
			e.Flags = slices.DeleteFunc(e.Flags, func(name string) bool { return name == p.name })
			if value {
				e.Flags = append(e.Flags, p.name)
			}
		case string:
			if e.Values == nil {
				e.Values = map[string]string{}
			}
			delete(e.Values, p.name)
			if value != "" {
				e.Values[p.name] = value
			}
		}
	}
	return e
}

func (a *API) setSettings(c *call) error {
	sent, err := c.body()
	if err != nil {
		return err
	}
	if err := settingsSchema.check(sent.value); err != nil {
		return err
	}
	wanted := proto.CloneOf(c.one.GetSettings())
	if wanted == nil {
		wanted = &pb.InstanceSettings{}
	}
	if wanted.Evolution == nil {
		wanted.Evolution = &pb.EvolutionSettings{}
	}
	settingsFrom(sent.value, wanted.Evolution)
	if err := a.update(c, &pb.UpdateInstanceRequest{Settings: wanted}); err != nil {
		return err
	}
	var out struct {
		Settings struct {
			InstanceName string `json:"instanceName"`
			Settings     any    `json:"settings"`
		} `json:"settings"`
	}
	out.Settings.InstanceName, out.Settings.Settings = c.one.GetName(), sent.raw
	return answer(c.w, http.StatusCreated, out)
}

func (a *API) findSettings(c *call) error { return answer(c.w, http.StatusOK, settingsOf(c.one)) }

// update changes the instance, and waits until this gateway sees it changed.
func (a *API) update(c *call, req *pb.UpdateInstanceRequest) error {
	req.Ref = string(c.id())
	var reply pb.UpdateInstanceReply
	if err := a.Client.Request(c.r.Context(), bus.SubjectInstancesUpdate, req, &reply); err != nil {
		return err
	}
	a.Client.SeeInstance(c.r.Context(), c.id(), func(rec *pb.InstanceRecord) bool {
		return rec.GetInstance().GetSpecVersion() >= reply.GetInstance().GetSpecVersion()
	})
	c.one = reply.GetInstance()
	return nil
}
