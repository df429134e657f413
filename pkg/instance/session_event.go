package instance

import "time"

// SessionEvent is what a messenger session tells about itself. The concrete
// types below are all there are.
type SessionEvent interface{ sessionEvent() }

type (
	// CodeIssued is a new QR text, replacing the one before. Only while linking.
	CodeIssued struct {
		Text    string
		Issued  time.Time
		Expires time.Time
	}

	// PairingCodeIssued is a code to be typed on the phone, replacing the one
	// before. Only while linking with MethodCode.
	PairingCodeIssued struct {
		Code    string
		Phone   string
		Issued  time.Time
		Expires time.Time
	}

	// PasswordNeeded asks for the account's password; Wrong says that the last one was refused.
	PasswordNeeded struct{ Wrong bool }

	// PasskeyNeeded asks for a WebAuthn assertion.
	PasskeyNeeded struct{ Challenge Passkey }

	// Scanned says that a phone has accepted the code: the link is being finished.
	Scanned struct{}

	// Linked says that the device is linked and its keys are stored durably. It
	// comes before the first Online of a linking session.
	Linked struct{ Account Account }

	// Connected says that the linked session is logged in and usable.
	Connected struct{ Account Account }

	// Restricted says that the messenger restricts the account, though connected.
	// Until is zero when the messenger does not say.
	Restricted struct {
		Until  time.Time
		Detail string
	}

	// Unrestricted takes a Restricted back.
	Unrestricted struct{}

	// Closed is always the last event of a session: it is over, and nothing of it runs any more.
	Closed struct {
		// Reason is one of those that CloseReasons lists.
		Reason Reason
		// Detail is for people, without secrets.
		Detail string
		// Until is when the messenger allows the next try; zero when it does not say.
		Until time.Time
	}
)

func (CodeIssued) sessionEvent()        {}
func (PairingCodeIssued) sessionEvent() {}
func (PasswordNeeded) sessionEvent()    {}
func (PasskeyNeeded) sessionEvent()     {}
func (Scanned) sessionEvent()           {}
func (Linked) sessionEvent()            {}
func (Connected) sessionEvent()         {}
func (Restricted) sessionEvent()        {}
func (Unrestricted) sessionEvent()      {}
func (Closed) sessionEvent()            {}

// CloseReasons lists the reasons with which a session may close.
//
//   - unreachable, connection_closed, keepalive_timeout, login_refused, throttled,
//     internal_error: tried again with back-off
//   - replaced: tried once more, then left to the user
//   - logged_out_on_phone: the link is gone; its keys are to be forgotten
//   - banned: the messenger refuses the account
//   - client_outdated: the messenger refuses our version
//   - keys_missing: there are no keys to log in with
//   - pairing_refused, wrong_phone: only while linking; ends the window
//   - qr_timeout: only while linking: the messenger gives no more codes to this session; a new one is opened
//   - provider_missing: this worker has no driver for the provider
func CloseReasons() []Reason {
	return []Reason{ReasonUnreachable, ReasonConnectionClosed, ReasonKeepaliveTimeout, ReasonLoginRefused,
		ReasonThrottled, ReasonInternal, ReasonReplaced, ReasonLoggedOutOnPhone, ReasonBanned,
		ReasonClientOutdated, ReasonKeysMissing, ReasonPairingRefused, ReasonWrongPhone, ReasonQRTimeout,
		ReasonProviderMissing}
}
