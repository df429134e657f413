package format

import (
	"context"
	"encoding/base64"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/dialect"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
)

// note is one notification before it is addressed.
type note struct {
	event   string
	data    any
	expires *timestamppb.Timestamp
}

// told is what an event means in Evolution API's words.
type told struct {
	notes []note
	// account is the instance's own; nil where none is known.
	account *pb.Account
}

type evolutionLifecycle struct {
	Name string `json:"instanceName"`
	ID   string `json:"instanceId"`
}

type evolutionQR struct {
	QR evolutionCode `json:"qrcode"`
}

type evolutionCode struct {
	Instance    string  `json:"instance"`
	PairingCode *string `json:"pairingCode"`
	Code        string  `json:"code"`
	Base64      string  `json:"base64,omitempty"`
}

type evolutionMessage struct {
	Message    string `json:"message"`
	StatusCode int    `json:"statusCode"`
}

type evolutionConnection struct {
	Instance string `json:"instance"`
	State    string `json:"state"`
	Reason   int    `json:"statusReason"`
}

type evolutionOpen struct {
	Instance string  `json:"instance"`
	WUID     string  `json:"wuid,omitempty"`
	Name     string  `json:"profileName,omitempty"`
	Picture  *string `json:"profilePictureUrl"`
	State    string  `json:"state"`
	Reason   int     `json:"statusReason"`
}

type evolutionClosed struct {
	Instance string `json:"instance"`
	Status   string `json:"status"`
	At       string `json:"disconnectionAt"`
	Code     int    `json:"disconnectionReasonCode"`
	Object   string `json:"disconnectionObject"`
}

// dataURL begins the pictures that Evolution API shows.
const dataURL = "data:image/png;base64,"

// limitReached is what Evolution API says when a pairing window ends unused.
const limitReached = "QR code limit reached, please login again"

func (e Evolution) told(ctx context.Context, ev *pb.Event) (told, error) {
	ref := ev.GetInstance()
	lifecycle := evolutionLifecycle{ref.GetName(), ref.GetId()}
	switch instance.Kind(ev.GetKind()) {
	case instance.KindCreated:
		return told{notes: []note{{event: dialect.EvolutionInstanceCreate, data: lifecycle}}}, nil
	case instance.KindDeleted:
		return told{notes: []note{{event: dialect.EvolutionInstanceDelete, data: lifecycle}, {event: dialect.EvolutionRemoveInstance}}}, nil
	case instance.KindQR:
		return e.picture(ctx, ev)
	case instance.KindPairingCode:
		return e.pairingCode(ctx, ev)
	case instance.KindStatus:
		return e.status(ctx, ev)
	}
	return told{}, nil
}

// picture tells of a code with the pairing code beside it that is live.
func (e Evolution) picture(ctx context.Context, ev *pb.Event) (told, error) {
	if ev.GetQr().GetCode() == "" {
		return told{}, nil
	}
	pairing, err := e.Past.PairingCode(ctx, instance.ID(ev.GetInstance().GetId()))
	if err != nil {
		return told{}, err
	}
	return told{notes: []note{qrNote(ev, ev.GetQr(), pairing)}}, nil
}

// pairingCode tells of a pairing code by the picture that it stands beside: one that
// comes before its first picture is told of with that.
func (e Evolution) pairingCode(ctx context.Context, ev *pb.Event) (told, error) {
	if ev.GetPairingCode().GetCode() == "" {
		return told{}, nil
	}
	qr, err := e.Past.Picture(ctx, instance.ID(ev.GetInstance().GetId()))
	if err != nil || qr.GetCode() == "" || qr.GetAttempt() != ev.GetPairingCode().GetAttempt() ||
		qr.GetExpiresAt() != nil && !ev.GetTime().AsTime().Before(qr.GetExpiresAt().AsTime()) {
		return told{}, err
	}
	return told{notes: []note{qrNote(ev, qr, ev.GetPairingCode())}}, nil
}

func qrNote(ev *pb.Event, qr *pb.Qr, pairing *pb.PairingCode) note {
	code := evolutionCode{Instance: ev.GetInstance().GetName(), Code: qr.GetCode()}
	if len(qr.GetImage()) > 0 {
		code.Base64 = dataURL + base64.StdEncoding.EncodeToString(qr.GetImage())
	}
	if text := pairing.GetCode(); text != "" && pairing.GetAttempt() == qr.GetAttempt() &&
		(pairing.GetExpiresAt() == nil || ev.GetTime().AsTime().Before(pairing.GetExpiresAt().AsTime())) {
		code.PairingCode = &text
	}
	return note{event: dialect.EvolutionQRUpdated, data: evolutionQR{code}, expires: qr.GetExpiresAt()}
}

// status tells of a change of the connection's state. A scan is told of as connecting
// once more, as Evolution API does when the messenger asks for its restart.
func (e Evolution) status(ctx context.Context, ev *pb.Event) (told, error) {
	s, name := ev.GetStatus(), ev.GetInstance().GetName()
	phase, before := instance.Phase(s.GetPhase()), instance.Phase(s.GetPreviousPhase())
	was := dialect.EvolutionState(before, s.GetPreviouslyLinked())
	is := dialect.EvolutionState(phase, s.GetAccount() != nil)
	out := told{account: s.GetAccount()}
	connection := func(state string, reason int) {
		out.notes = append(out.notes, note{event: dialect.EvolutionConnectionUpdate, data: evolutionConnection{name, state, reason}})
	}
	switch {
	case is == was && (phase != instance.Syncing || before == instance.Syncing):
	case is == dialect.EvolutionConnecting:
		connection(is, 200)
	case is == dialect.EvolutionOpen:
		out.notes = []note{{event: dialect.EvolutionConnectionUpdate, data: evolutionOpen{Instance: name, WUID: jid(s.GetAccount()),
			Name: s.GetAccount().GetName(), State: is, Reason: 200}}}
	case s.GetPreviouslyLinked():
		if out.account == nil {
			var err error
			if out.account, err = e.Past.Account(ctx, instance.ID(ev.GetInstance().GetId()), ev.GetSequence()); err != nil {
				return told{}, err
			}
		}
		code := closeCode(s)
		closed, err := closedNote(name, s, code, ev.GetTime().AsTime())
		if err != nil {
			return told{}, err
		}
		out.notes = []note{closed, {event: dialect.EvolutionLogoutInstance}}
		connection(dialect.EvolutionClose, code)
	case phase == instance.Deleted:
		// There was no link to end, and the deletion has an event of its own.
	case instance.Reason(s.GetReason()) == instance.ReasonQRTimeout:
		out.notes = []note{{event: dialect.EvolutionQRUpdated, data: evolutionMessage{limitReached, 500}}}
		connection(dialect.EvolutionRefused, 428)
	default:
		connection(is, closeCode(s))
	}
	return out, nil
}

// closeCode is the code that Evolution API, by the library under it, would give.
func closeCode(s *pb.Status) int {
	switch instance.Reason(s.GetReason()) {
	case instance.ReasonLoggedOutByUser, instance.ReasonLoggedOutOnPhone, instance.ReasonDeleted,
		instance.ReasonWrongPhone, instance.ReasonPairingRefused:
		return 401
	case instance.ReasonBanned, instance.ReasonLoginRefused, instance.ReasonRestricted, instance.ReasonThrottled:
		if s.GetUntil() != nil {
			return 402
		}
		return 403
	case instance.ReasonClientOutdated:
		return 405
	case instance.ReasonReplaced:
		return 440
	case instance.ReasonInternal:
		return 500
	case instance.ReasonUnreachable:
		return 408
	}
	return 428
}

// closeErrors are the names that the library gives to the codes of closeCode.
var closeErrors = map[int]string{401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 405: "Method Not Allowed",
	408: "Request Time-out", 428: "Precondition Required", 440: "Login Time-out", 500: "Internal Server Error"}

type boomPayload struct {
	Code    int    `json:"statusCode"`
	Error   string `json:"error"`
	Message string `json:"message"`
}

type boomOutput struct {
	Code    int         `json:"statusCode"`
	Payload boomPayload `json:"payload"`
	Headers struct{}    `json:"headers"`
}

type boomError struct {
	Data     *struct{}  `json:"data"`
	IsBoom   bool       `json:"isBoom"`
	IsServer bool       `json:"isServer"`
	Output   boomOutput `json:"output"`
}

type boom struct {
	Error boomError `json:"error"`
	Date  string    `json:"date"`
}

// closedNote carries the error as the text of a JSON object, in the shape of the
// library's, because clients read its status code.
func closedNote(name string, s *pb.Status, code int, at time.Time) (note, error) {
	message := s.GetDetail()
	if message == "" {
		message = s.GetReason()
	}
	object, err := encode(boom{Error: boomError{IsBoom: true, IsServer: code >= 500,
		Output: boomOutput{Code: code, Payload: boomPayload{code, closeErrors[code], message}}}, Date: isoTime(at)})
	return note{event: dialect.EvolutionStatusInstance, data: evolutionClosed{Instance: name, Status: "closed", At: isoTime(at),
		Code: code, Object: string(object)}}, err
}
