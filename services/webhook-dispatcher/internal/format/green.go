package format

import (
	"context"
	"strconv"
	"time"

	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/webhook-dispatcher/internal/policy"
	"pairgate.dev/services/webhook-dispatcher/internal/sender"
)

// GreenAPI tells of changes of stateInstance and statusInstance, and only of changes in
// these words. Clients read the bodies strictly: there is no member that GREEN-API
// does not have, and what Pairgate adds stands in headers.
type GreenAPI struct{ Delivery policy.Policy }

// Headers of GREEN-API's deliveries that are ours.
const (
	headerNotificationID  = "X-Notification-Id"
	headerDeliveryAttempt = "X-Delivery-Attempt"
)

const greenMediaType = "application/json; charset=utf-8"

// Parts implements Format.
func (g GreenAPI) Parts(_ context.Context, ev *pb.Event) ([]Part, error) {
	notes, err := GreenNotifications(ev)
	if err != nil {
		return nil, err
	}
	parts := make([]Part, 0, len(notes))
	for _, n := range notes {
		parts = append(parts, Part{Name: n.Type, Word: n.Type, MediaType: greenMediaType,
			Body: func(*pb.Webhook) ([]byte, error) { return n.Body, nil }})
	}
	return parts, nil
}

// Dress implements Format.
func (g GreenAPI) Dress(req *sender.Request, d Dressing) {
	req.SetHeader(headerNotificationID, req.ID)
	req.SetHeader(headerDeliveryAttempt, strconv.Itoa(d.Attempt))
}

// Policy implements Format.
func (g GreenAPI) Policy() policy.Policy { return g.Delivery }

// GreenNotification is one notification in GREEN-API's words.
type GreenNotification struct {
	// Type is its typeWebhook.
	Type string
	// Body is the whole notification, as a webhook gets it and receiveNotification shows it.
	Body []byte
}

type greenInstance struct {
	ID   uint64 `json:"idInstance"`
	WID  string `json:"wid"`
	Type string `json:"typeInstance"`
}

type greenState struct {
	Type      string        `json:"typeWebhook"`
	Instance  greenInstance `json:"instanceData"`
	Timestamp int64         `json:"timestamp"`
	State     string        `json:"stateInstance"`
}

type greenStatus struct {
	Type      string        `json:"typeWebhook"`
	Instance  greenInstance `json:"instanceData"`
	Timestamp int64         `json:"timestamp"`
	Status    string        `json:"statusInstance"`
}

// GreenNotifications returns what GREEN-API tells of an event. A new instance is told
// of as not authorized; of a phase that is called the same as the one before, nothing.
func GreenNotifications(ev *pb.Event) ([]GreenNotification, error) {
	ref := ev.GetInstance()
	provider := instance.Provider(ref.GetProvider())
	was, is := "", dialect.GreenNotAuthorized
	connectedBefore, connected := dialect.GreenOffline, dialect.GreenOffline
	status := ev.GetStatus()
	switch {
	case status != nil:
		was = dialect.GreenState(instance.Phase(status.GetPreviousPhase()), status.GetPreviouslyLinked())
		is = dialect.GreenState(instance.Phase(status.GetPhase()), status.GetAccount() != nil)
		connectedBefore = dialect.GreenStatus(instance.Phase(status.GetPreviousPhase()))
		connected = dialect.GreenStatus(instance.Phase(status.GetPhase()))
	case ev.GetKind() != string(instance.KindCreated):
		return nil, nil
	}
	if is == "" {
		return nil, nil // deleted
	}
	data := greenInstance{ID: ref.GetNumber(), WID: dialect.GreenWID(is, status.GetAccount().GetPhone()), Type: dialect.GreenType(provider)}
	at := ev.GetTime().AsTime().Truncate(time.Second).Unix()
	var notes []GreenNotification
	add := func(kind string, v any) error {
		body, err := encode(v)
		notes = append(notes, GreenNotification{Type: kind, Body: body})
		return err
	}
	if is != was {
		if err := add(dialect.GreenStateChanged, greenState{dialect.GreenStateChanged, data, at, is}); err != nil {
			return nil, err
		}
	}
	// MAX has no such notification.
	if connected != connectedBefore && provider != instance.MAX {
		if err := add(dialect.GreenStatusChanged, greenStatus{dialect.GreenStatusChanged, data, at, connected}); err != nil {
			return nil, err
		}
	}
	return notes, nil
}
