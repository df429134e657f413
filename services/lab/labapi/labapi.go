// Package labapi is what the lab's control API takes and answers, as JSON.
package labapi

import "time"

// NewAccount is the body of POST /accounts.
type NewAccount struct {
	// Provider is the messenger of the account; this version emulates "simulated" and "whatsapp".
	Provider string `json:"provider"`
	// Phone is 5 to 15 digits, without plus, and names the account in every route.
	Phone string `json:"phone"`
	// Name is what the owner calls himself, at most 100 characters; may be empty.
	Name string `json:"name,omitempty"`
	// Password, when set, is asked for before a device is linked; at most 128
	// characters. Accounts of WhatsApp have none.
	Password string `json:"password,omitempty"`
	// Passkey says that a passkey is asked for before a device is linked.
	Passkey bool `json:"passkey,omitempty"`
}

// Account is an account as the API shows it.
type Account struct {
	Provider    string `json:"provider"`
	Phone       string `json:"phone"`
	Name        string `json:"name"`
	HasPassword bool   `json:"hasPassword"`
	Passkey     bool   `json:"passkey"`
	// PasskeyCode is the code that the phone shows last, to be compared with the device's
	// once a passkey was answered; absent when it has shown none.
	PasskeyCode string `json:"passkeyCode,omitempty"`
	// Banned and Suspended are absent when the account is neither.
	Banned    *Restriction `json:"banned,omitempty"`
	Suspended *Restriction `json:"suspended,omitempty"`
	Devices   []Device     `json:"devices"`
}

// Restriction says how long something holds.
type Restriction struct {
	// Until is absent when it holds until it is lifted.
	Until *time.Time `json:"until,omitempty"`
}

// Device is a linked device of an account.
type Device struct {
	ID string `json:"id"`
	// Name is what the phone shows.
	Name string `json:"name"`
	// Instance is what the device called itself.
	Instance string    `json:"instance"`
	LinkedAt time.Time `json:"linkedAt"`
	// Connected says whether the device has an open session, ConnectedAt since when.
	Connected   bool       `json:"connected"`
	ConnectedAt *time.Time `json:"connectedAt,omitempty"`
	// Connections is how many connections the device has, MostConnections the most that
	// it had at once since the lab started, or since it was linked: more than 1 when
	// one came before another had gone.
	Connections     int `json:"connections"`
	MostConnections int `json:"mostConnections"`
	// Sent is what the device has sent since the lab started, the last 50, oldest first.
	Sent []Sent `json:"sent"`
}

// Sent is one thing that a device has sent.
type Sent struct {
	At time.Time `json:"at"`
	// Kind is "presence".
	Kind string `json:"kind"`
	// Text is what was sent: for presence "available" or "unavailable".
	Text string `json:"text"`
}

// Problem is the body of every error: RFC 9457 application/problem+json.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Code is invalid_request, invalid_json, not_found, conflict, body_too_large, timeout and the like.
	Code string `json:"code"`
	// Reason is one of the constants below, where there is one.
	Reason string `json:"reason,omitempty"`
	// Errors names every bad field.
	Errors []FieldError `json:"errors,omitempty"`
}

// FieldError is one bad field.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Reasons of refusals.
const (
	// ReasonPhoneTaken (409): there is an account of this phone already.
	ReasonPhoneTaken = "phone_taken"
	// ReasonUnknownPhone (404): there is no account of this phone.
	ReasonUnknownPhone = "unknown_phone"
	// ReasonUnknownCode (409): no device shows this code, or not to this phone.
	ReasonUnknownCode = "unknown_code"
	// ReasonExpiredCode (409): the code was shown once, but has expired, was used, or its device has gone.
	ReasonExpiredCode = "expired_code"
	// ReasonBadPicture (400): the body is not a picture of a kind and size that can be read.
	ReasonBadPicture = "bad_picture"
	// ReasonNoQRInPicture (400): the picture shows no QR code.
	ReasonNoQRInPicture = "no_qr_in_picture"
	// ReasonBanned (409): the account is banned and cannot link.
	ReasonBanned = "banned"
	// ReasonDeviceRefused (409): the device did not take the link, for example because it expects another number.
	ReasonDeviceRefused = "device_refused"
	// ReasonDeviceGone (409): the device went away before it was linked.
	ReasonDeviceGone = "device_gone"
	// ReasonDeviceSilent (504): the device did not store its keys in time; it is not linked.
	ReasonDeviceSilent = "device_silent"
	// ReasonOldPhone (409): the phone cannot link devices, as the fault oldPhones has it.
	ReasonOldPhone = "old_phone"
	// ReasonNotOffered (409): the messenger has nothing of this kind.
	ReasonNotOffered = "not_offered"
	// ReasonPasskeyRefused (409): the options are none or are for another passkey, or the account has none.
	ReasonPasskeyRefused = "passkey_refused"
	// ReasonNotLinked (409): the phone has no such linked device.
	ReasonNotLinked = "not_linked"
	// ReasonNotConnected (409): no such device of the phone is connected.
	ReasonNotConnected = "not_connected"
)
