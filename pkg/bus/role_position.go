package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// RolePosition is how far a role has read EVENTS: everything up to it has reached
// the role's target. It is a record in the target, so that it is written under the
// same fence as what it tells of. A durable consumer in its place would hand events
// to a stopped process that still pulls, and hand them out again late and out of order.
type RolePosition struct {
	// Incarnation of EVENTS: the sequence means nothing in another one.
	Incarnation string `json:"incarnation"`
	// Sequence of the last event that has reached the target.
	Sequence uint64 `json:"sequence"`
}

// RolePositionSubject returns where the position of a role stands, beside the owner's
// record in the role's target: pairgate.v1.roles.<role>-position in DELIVERIES, and
// pairgate.v1.queue-owners.<role>-position in QUEUE for RoleProjector.
func RolePositionSubject(role string) string {
	if role == RoleProjector {
		return QueueOwnerSubject(role + "-position")
	}
	return RoleSubject(role + "-position")
}

// RoleTarget returns the stream that a role writes to.
func RoleTarget(role string) string {
	if role == RoleProjector {
		return StreamQueue
	}
	return StreamDeliveries
}

// ReadRolePosition returns the position of a role in EVENTS as it is now: the zero
// position, with the present incarnation, when there is none or EVENTS was made anew.
func ReadRolePosition(ctx context.Context, c *Conn, role string) (RolePosition, error) {
	incarnation, err := c.Incarnation(ctx)
	if err != nil {
		return RolePosition{}, err
	}
	at := RolePosition{Incarnation: incarnation}
	target, err := c.JetStream().Stream(ctx, RoleTarget(role))
	if err != nil {
		return at, fmt.Errorf("bus: position of %s: %w", role, err)
	}
	m, err := target.GetLastMsgForSubject(ctx, RolePositionSubject(role))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("bus: position of %s: %w", role, err)
	}
	var stored RolePosition
	if err := json.Unmarshal(m.Data, &stored); err != nil {
		return at, fmt.Errorf("bus: position of %s: %w", role, err)
	}
	if stored.Incarnation == incarnation {
		at = stored
	}
	return at, nil
}

// Message returns the message that stores the position in place of the one before.
// It is to be published under the role's fence; epoch makes its id one of the owner's own.
func (p RolePosition) Message(role string, epoch uint64) (*nats.Msg, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	m := nats.NewMsg(RolePositionSubject(role))
	m.Data = data
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	if role == RoleProjector {
		m.Header.Set(jetstream.MsgTTLHeader, TTLNever) // QUEUE has an age limit
	}
	m.Header.Set(nats.MsgIdHdr, fmt.Sprintf("%s-position/%d/%s/%d", role, epoch, p.Incarnation, p.Sequence))
	return m, nil
}
