package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pairgate.dev/pkg/bus"
)

// positionSubject holds how far EVENTS was routed. It lies in DELIVERIES, so that
// it is written under the same fence as the deliveries themselves.
var positionSubject = bus.RoleSubject(bus.RoleRouter + "-position")

// position is how far EVENTS was routed.
type position struct {
	// Incarnation of EVENTS: the sequence means nothing in another one.
	Incarnation string `json:"incarnation"`
	// Sequence of the last event whose deliveries are all stored.
	Sequence uint64 `json:"sequence"`
}

// readPosition returns the stored position, or the beginning of the stream when
// there is none or EVENTS was made anew.
func readPosition(ctx context.Context, deliveries jetstream.Stream, incarnation string) (position, error) {
	at := position{Incarnation: incarnation}
	m, err := deliveries.GetLastMsgForSubject(ctx, positionSubject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("reading the router's position: %w", err)
	}
	var stored position
	if err := json.Unmarshal(m.Data, &stored); err != nil {
		return at, fmt.Errorf("reading the router's position: %w", err)
	}
	if stored.Incarnation == incarnation {
		at = stored
	}
	return at, nil
}

func (p position) message(epoch uint64) (*nats.Msg, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	m := nats.NewMsg(positionSubject)
	m.Data = data
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	m.Header.Set(nats.MsgIdHdr, fmt.Sprintf("router-position/%d/%s/%d", epoch, p.Incarnation, p.Sequence))
	return m, nil
}
