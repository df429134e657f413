package evolution

import (
	"net/http"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// setPresence shows the account as available or not. The three presences of a chat
// are answered the same way and do nothing, because there is no chat in the request.
func (a *API) setPresence(c *call) error {
	sent, err := c.body()
	if err != nil {
		return err
	}
	if err := presenceSchema.check(sent.value); err != nil {
		return err
	}
	if stateOf(c.one) != dialect.EvolutionOpen {
		return notConnected(c.one.GetName())
	}
	presence := text(sent.value, "presence")
	if presence == "available" || presence == "unavailable" {
		subject := bus.SessionSubject(c.id().Partition(), c.id(), bus.VerbPresence)
		err := a.Client.Request(c.r.Context(), subject, &pb.PresenceRequest{Available: presence == "available"}, &pb.SessionReply{})
		if err != nil && instance.AsProblem(err).Code == instance.CodeConflict {
			return notConnected(c.one.GetName())
		}
		if err != nil {
			return err
		}
	}
	return answer(c.w, http.StatusCreated, struct {
		Presence string `json:"presence"`
	}{presence})
}
