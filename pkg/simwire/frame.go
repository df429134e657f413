// Package simwire is the protocol between the driver of the simulated messenger
// and its emulation in the lab.
//
// One TCP connection carries every session of a process. Each line is one frame,
// a JSON object of at most MaxLine bytes; the driver opens with hello, the lab
// answers welcome, and from then on either end writes when it likes. A session is
// a number that the driver picks, never used twice on a connection; frames of a
// session that the reader does not know are late and are dropped. Either end
// answers ping with pong, and gives a connection up that was silent for too long.
//
// Linking a device goes
//
//	driver                          lab
//	open-pair                →
//	                         ←      code, code, … (and pairing-code)
//	                                [the phone scans; password or passkey, where the account has one]
//	                         ←      scanned
//	                         ←      keys
//	[stores the keys]
//	stored                   →
//	                                [writes the device to disk]
//	                         ←      linked
//	                         ←      online
//
// so that a phone never shows a device whose keys nobody holds. A login is
// open-login, answered by online or closed. After logged-out, closed, refused or
// close the session is over at both ends.
//
// Lives are durations, not times of day: the two clocks need not agree.
package simwire

import (
	"fmt"
	"time"
)

// Version is the version of the protocol; a hello with another one is answered with closed and the connection ends.
const Version = 1

// Limits of the protocol.
const (
	// MaxLine is the longest line, its newline included.
	MaxLine = 64 << 10
	// MaxText is the longest QR text: what the largest QR code holds.
	MaxText = 2953
	// MaxName is the longest name, identifier, phone, password or reason, in bytes.
	MaxName = 512
	// MaxJSON is the longest passkey challenge or answer, in bytes.
	MaxJSON = 32 << 10
)

// Type says what a frame is.
type Type string

// Frames of either end. They belong to no session.
const (
	TypePing Type = "ping"
	TypePong Type = "pong"
)

// Frames of the driver.
const (
	// TypeHello opens a connection: Version and Client.
	TypeHello Type = "hello"
	// TypeOpenPair opens a session that links: Instance, Method, DeviceName, and Phone with method code.
	TypeOpenPair Type = "open-pair"
	// TypeOpenLogin opens a session of a linked device: Device and Key.
	TypeOpenLogin Type = "open-login"
	// TypePassword answers password-required: Password.
	TypePassword Type = "password"
	// TypePasskeyResponse answers passkey-required: Passkey, the authenticator's answer as JSON.
	TypePasskeyResponse Type = "passkey-response"
	// TypePasskeyConfirm says that the user has compared the confirmation code.
	TypePasskeyConfirm Type = "passkey-confirm"
	// TypeStored says that the keys are stored. Device and Key, when set, are of an
	// earlier link of the same instance, which the new one replaces.
	TypeStored Type = "stored"
	// TypeRefused says that the driver does not take the keys: Reason.
	TypeRefused Type = "refused"
	// TypePresence shows the account as available or not: Available.
	TypePresence Type = "presence"
	// TypeLogout unlinks the device of an online session; answered with logged-out.
	TypeLogout Type = "logout"
	// TypeClose ends a session; it is not answered.
	TypeClose Type = "close"
)

// Frames of the lab.
const (
	// TypeWelcome answers hello: Version.
	TypeWelcome Type = "welcome"
	// TypeCode is a new QR text: Text and LifeMillis.
	TypeCode Type = "code"
	// TypePairingCode is a code to be typed on the phone: Text, Phone and LifeMillis.
	TypePairingCode Type = "pairing-code"
	// TypePasswordRequired asks for the account's password: Wrong.
	TypePasswordRequired Type = "password-required"
	// TypePasskeyRequired asks for a WebAuthn assertion, or with Text for a comparison: Passkey, Text, LifeMillis.
	TypePasskeyRequired Type = "passkey-required"
	// TypeScanned says that a phone has accepted the code.
	TypeScanned Type = "scanned"
	// TypeKeys hands the keys of the new device over: Device, Key and Account.
	TypeKeys Type = "keys"
	// TypeLinked says that the device is linked: Account.
	TypeLinked Type = "linked"
	// TypeOnline says that the session is logged in: Account.
	TypeOnline Type = "online"
	// TypeSuspended says that the account is restricted: UntilMillis (0: not said) and Detail.
	TypeSuspended Type = "suspended"
	// TypeUnsuspended takes suspended back.
	TypeUnsuspended Type = "unsuspended"
	// TypeLoggedOut confirms a logout; the session is over.
	TypeLoggedOut Type = "logged-out"
	// TypeClosed ends a session, or with session 0 the connection: Reason, Detail, UntilMillis.
	TypeClosed Type = "closed"
)

// Account is the account a device is linked to.
type Account struct {
	ID    string `json:"id"`
	Phone string `json:"phone"`
	Name  string `json:"name,omitempty"`
}

// Frame is one message. Which fields a type has is said at its constant.
type Frame struct {
	Type    Type   `json:"t"`
	Session uint64 `json:"s,omitempty"`

	Version int `json:"version,omitempty"`
	// Client is the version of the client, numbers between dots.
	Client string `json:"client,omitempty"`

	Instance   string `json:"instance,omitempty"`
	Method     string `json:"method,omitempty"`
	Phone      string `json:"phone,omitempty"`
	DeviceName string `json:"deviceName,omitempty"`

	Device  string   `json:"device,omitempty"`
	Key     string   `json:"key,omitempty"`
	Account *Account `json:"account,omitempty"`

	Text       string `json:"text,omitempty"`
	LifeMillis int64  `json:"lifeMs,omitempty"`

	Password  string `json:"password,omitempty"`
	Wrong     bool   `json:"wrong,omitempty"`
	Passkey   string `json:"passkey,omitempty"`
	Available bool   `json:"available,omitempty"`

	Reason      string `json:"reason,omitempty"`
	Detail      string `json:"detail,omitempty"`
	UntilMillis int64  `json:"untilMs,omitempty"`
}

// String returns the type and the session only: the rest of a frame may be secret.
func (f Frame) String() string { return fmt.Sprintf("%s of session %d", f.Type, f.Session) }

// GoString is String, so that no verb of a log line shows a secret.
func (f Frame) GoString() string { return f.String() }

// Life returns LifeMillis as a duration.
func (f Frame) Life() time.Duration { return time.Duration(f.LifeMillis) * time.Millisecond }

// Until returns UntilMillis as a time; the zero time for 0.
func (f Frame) Until() time.Time {
	if f.UntilMillis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(f.UntilMillis).UTC()
}

// UntilMillis returns what Frame.UntilMillis is for t: 0 for the zero time.
func UntilMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
