package evolution

import (
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/web"
)

// disconnection tells why the instance does not come back by itself: it was logged
// out, the messenger refuses it, or another device has its place. A connection that
// is lost for a moment is none, here as in the product. That the messenger refuses
// the client version stands here too, because the state alone does not tell it.
func (r *row) disconnection(one *pb.Instance) {
	s := one.GetStatus()
	reason := instance.Reason(s.GetReason())
	code := dialect.EvolutionCloseCode(reason)
	switch instance.Phase(s.GetPhase()) {
	case instance.Idle:
		if code == 0 || reason == instance.ReasonQRTimeout {
			return
		}
	case instance.Blocked, instance.Outdated:
	case instance.Offline:
		if !stopped(instance.Status{Reason: reason}) {
			return
		}
	default:
		return
	}
	at := isoTime(s.GetSince().AsTime())
	type cause struct {
		Reason     string `json:"reason"`
		Message    string `json:"message"`
		StatusCode int    `json:"statusCode,omitempty"`
	}
	object, err := web.PlainJSON(struct {
		Error cause  `json:"error"`
		Date  string `json:"date"`
	}{cause{s.GetReason(), explained(one, instance.Phase(s.GetPhase()), s.GetDetail()), code}, at})
	if err != nil {
		return // texts alone are always JSON
	}
	r.DisconnectionAt, r.DisconnectionObject = &at, new(string(object))
	if code != 0 {
		r.DisconnectionReasonCode = &code
	}
}
