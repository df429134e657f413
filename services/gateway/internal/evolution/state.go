package evolution

import (
	"net/http"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// stateAnswer is how connect, connectionState and restart tell the state.
type stateAnswer struct {
	Instance struct {
		InstanceName string `json:"instanceName"`
		State        string `json:"state"`
	} `json:"instance"`
}

func stateIs(one *pb.Instance, state string) stateAnswer {
	var s stateAnswer
	s.Instance.InstanceName, s.Instance.State = one.GetName(), state
	return s
}

// stateOf is the state of an instance as it was looked up.
func stateOf(one *pb.Instance) string {
	s := one.GetStatus()
	return dialect.EvolutionState(instance.Phase(s.GetPhase()), s.GetAccount() != nil)
}

// stateNow is the state of a snapshot.
func stateNow(s bus.Snapshot) string {
	return dialect.EvolutionState(s.Status.Phase, s.Status.Account != nil)
}

// connectionState answers the state, and does nothing else.
func (a *API) connectionState(c *call) error {
	return answer(c.w, http.StatusOK, stateIs(c.one, stateOf(c.one)))
}
