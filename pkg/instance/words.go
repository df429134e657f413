package instance

import "slices"

// Provider is a messenger that an instance can be linked to.
type Provider string

// The providers of this version.
const (
	WhatsApp  Provider = "whatsapp"
	MAX       Provider = "max"
	Simulated Provider = "simulated"
)

// Providers lists every provider in the order of the documentation.
func Providers() []Provider { return []Provider{WhatsApp, MAX, Simulated} }

// Valid says whether p is a provider of this version.
func (p Provider) Valid() bool { return slices.Contains(Providers(), p) }

// NumberPrefix is what numbers made for the provider's instances begin with.
func (p Provider) NumberPrefix() uint64 {
	switch p {
	case WhatsApp:
		return 1101
	case MAX:
		return 3100
	default:
		return 9000
	}
}

// Phase is what a session is, in one word.
type Phase string

// The phases of the contract.
const (
	// Idle: not linked, nothing running.
	Idle Phase = "idle"
	// Connecting: linking was asked for; no code to show yet.
	Connecting Phase = "connecting"
	// Pairing: a QR or a pairing code is live.
	Pairing Phase = "pairing"
	// PasswordRequired: the account's password is needed to finish.
	PasswordRequired Phase = "passwordRequired"
	// PasskeyRequired: a WebAuthn assertion is needed to finish.
	PasskeyRequired Phase = "passkeyRequired"
	// Syncing: scanned; finishing the link.
	Syncing Phase = "syncing"
	// Online: linked and connected.
	Online Phase = "online"
	// Offline: linked, not connected.
	Offline Phase = "offline"
	// Suspended: linked and connected; the messenger restricts the account.
	Suspended Phase = "suspended"
	// Blocked: the messenger refuses the account.
	Blocked Phase = "blocked"
	// Outdated: the messenger refuses our client version.
	Outdated Phase = "outdated"
	// Deleted: the last status of a deleted instance.
	Deleted Phase = "deleted"
)

// Phases lists every phase in the order of the documentation.
func Phases() []Phase {
	return []Phase{Idle, Connecting, Pairing, PasswordRequired, PasskeyRequired, Syncing,
		Online, Offline, Suspended, Blocked, Outdated, Deleted}
}

// Valid says whether p is a phase of this version.
func (p Phase) Valid() bool { return slices.Contains(Phases(), p) }

// Window says whether p belongs to an open pairing window.
func (p Phase) Window() bool {
	switch p {
	case Connecting, Pairing, PasswordRequired, PasskeyRequired, Syncing:
		return true
	}
	return false
}

// Reason says why a session is in its phase. The list is closed.
type Reason string

// The reasons of this version.
const (
	ReasonCreated          Reason = "created"
	ReasonConnectRequested Reason = "connect_requested"
	ReasonQRIssued         Reason = "qr_issued"
	ReasonCodeIssued       Reason = "code_issued"
	ReasonQRTimeout        Reason = "qr_timeout"
	ReasonPasswordNeeded   Reason = "password_needed"
	ReasonPasswordWrong    Reason = "password_wrong"
	ReasonPasskeyNeeded    Reason = "passkey_needed"
	ReasonScanned          Reason = "scanned"
	ReasonLinked           Reason = "linked"
	ReasonReconnected      Reason = "reconnected"
	ReasonRestartRequested Reason = "restart_requested"
	ReasonLoggedOutByUser  Reason = "logged_out_by_user"
	ReasonLoggedOutOnPhone Reason = "logged_out_on_phone"
	ReasonWrongPhone       Reason = "wrong_phone"
	ReasonPairingRefused   Reason = "pairing_refused"
	ReasonReplaced         Reason = "replaced"
	ReasonUnreachable      Reason = "unreachable"
	ReasonConnectionClosed Reason = "connection_closed"
	ReasonKeepaliveTimeout Reason = "keepalive_timeout"
	ReasonLoginRefused     Reason = "login_refused"
	ReasonBanned           Reason = "banned"
	ReasonRestricted       Reason = "restricted"
	ReasonThrottled        Reason = "throttled"
	ReasonClientOutdated   Reason = "client_outdated"
	ReasonWorkerLost       Reason = "worker_lost"
	ReasonKeysMissing      Reason = "keys_missing"
	ReasonProviderMissing  Reason = "provider_missing"
	ReasonInternal         Reason = "internal_error"
	ReasonVersionChanged   Reason = "version_changed"
	ReasonRestrictionEnded Reason = "restriction_ended"
	ReasonDeleted          Reason = "deleted"
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{ReasonCreated, ReasonConnectRequested, ReasonQRIssued, ReasonCodeIssued, ReasonQRTimeout,
		ReasonPasswordNeeded, ReasonPasswordWrong, ReasonPasskeyNeeded, ReasonScanned, ReasonLinked,
		ReasonReconnected, ReasonRestartRequested, ReasonLoggedOutByUser, ReasonLoggedOutOnPhone,
		ReasonWrongPhone, ReasonPairingRefused, ReasonReplaced, ReasonUnreachable, ReasonConnectionClosed,
		ReasonKeepaliveTimeout, ReasonLoginRefused, ReasonBanned, ReasonRestricted, ReasonThrottled,
		ReasonClientOutdated, ReasonWorkerLost, ReasonKeysMissing, ReasonProviderMissing, ReasonInternal, ReasonVersionChanged,
		ReasonRestrictionEnded, ReasonDeleted}
}

// Valid says whether r is a reason of this version.
func (r Reason) Valid() bool { return slices.Contains(Reasons(), r) }

// Kind is the kind of an event.
type Kind string

// The kinds of the contract.
const (
	KindCreated     Kind = "created"
	KindUpdated     Kind = "updated"
	KindDeleted     Kind = "deleted"
	KindStatus      Kind = "status"
	KindCode        Kind = "code"
	KindQR          Kind = "qr"
	KindPairingCode Kind = "pairing-code"
	KindPasskey     Kind = "passkey"
)

// Kinds lists every kind of event.
func Kinds() []Kind {
	return []Kind{KindCreated, KindUpdated, KindDeleted, KindStatus, KindCode, KindQR, KindPairingCode, KindPasskey}
}

// Valid says whether k is a kind of this version.
func (k Kind) Valid() bool { return slices.Contains(Kinds(), k) }

// Method is how a linking is offered to the phone.
type Method string

// The methods of linking.
const (
	// MethodQR shows QR codes.
	MethodQR Method = "qr"
	// MethodCode shows a pairing code to be typed, and keeps the QR live beside it.
	MethodCode Method = "code"
)

// Valid says whether m is a method of this version.
func (m Method) Valid() bool { return m == MethodQR || m == MethodCode }

// Format is the shape of a webhook's body, and the delivery policy that goes with it.
type Format string

// The formats of the contract.
const (
	FormatNative    Format = "native"
	FormatGreenAPI  Format = "green-api"
	FormatEvolution Format = "evolution"
)
