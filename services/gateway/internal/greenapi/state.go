package greenapi

import (
	"net/http"
	"slices"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// seen is what an instance is now, in the product's words.
type seen struct {
	bus.Snapshot
	state string
	// account is that of the status; its zero value while there is none.
	account instance.Account
}

func (a *API) see(id instance.ID) seen {
	s := seen{Snapshot: a.Client.Views().Sessions.Current(id)}
	if s.Status.Account != nil {
		s.account = *s.Status.Account
	}
	s.state = dialect.GreenState(s.Status.Phase, s.Status.Account != nil)
	return s
}

// wid is the account's phone in the product's form, and "" while there is no usable account.
func (s seen) wid() string { return dialect.GreenWID(s.state, s.account.Phone) }

// usable says whether details of the account are shown in this state.
func (s seen) usable() bool {
	return s.state == dialect.GreenAuthorized || s.state == dialect.GreenSuspended
}

// until is when a restriction ends, in seconds of Unix; 0 for none.
func (s seen) until() int64 {
	if s.state != dialect.GreenSuspended || s.Status.Until.IsZero() {
		return 0
	}
	return s.Status.Until.Unix()
}

// getStateInstance tells the state. An instance is there as soon as its creation
// is answered, so the null of an instance that is still being made is never needed.
func (a *API) getStateInstance(w http.ResponseWriter, _ *http.Request, c *called) error {
	return answer(w, struct {
		State string `json:"stateInstance"`
	}{a.see(c.id).state})
}

func (a *API) getStatusInstance(w http.ResponseWriter, _ *http.Request, c *called) error {
	return answer(w, struct {
		Status string `json:"statusInstance"`
	}{dialect.GreenStatus(a.see(c.id).Status.Phase)})
}

// historySize is how many changes are told when nobody says how many.
const historySize = 100

// pastState is one entry of the history.
type pastState struct {
	State     string `json:"stateInstance"`
	Timestamp int64  `json:"timestamp"`
	Phone     string `json:"phoneNumber"`
}

// getStateInstanceHistory tells the changes among the three states that the product
// keeps, the newest first, out of the statuses that the stream has: the last 64.
func (a *API) getStateInstanceHistory(w http.ResponseWriter, r *http.Request, c *called) error {
	body, err := readObject(w, r)
	if err != nil {
		return err
	}
	count := uint64(historySize)
	if body.has("count") {
		var ok bool
		if count, ok = body.integer("count"); !ok || count == 0 {
			return invalid(instance.FieldErrors{{Field: "count", Message: "must be a whole number of at least 1"}})
		}
	}
	events, err := a.Client.History(r.Context(), c.id)
	if err != nil {
		return err
	}
	past := history(events)
	if uint64(len(past)) > count {
		past = past[:count]
	}
	return answer(w, past)
}

// history maps the statuses, given the oldest first.
func history(events []*pb.Event) []pastState {
	out := []pastState{}
	var phone string
	for _, ev := range events {
		s := ev.GetStatus()
		if s.GetAccount().GetPhone() != "" {
			phone = s.GetAccount().GetPhone() + "@c.us"
		}
		switch state := dialect.GreenState(instance.Phase(s.GetPhase()), s.GetAccount() != nil); state {
		case dialect.GreenAuthorized, dialect.GreenNotAuthorized, dialect.GreenBlocked:
			if len(out) == 0 || out[len(out)-1].State != state {
				out = append(out, pastState{state, ev.GetTime().GetSeconds(), phone})
			}
		}
	}
	slices.Reverse(out)
	return out
}
