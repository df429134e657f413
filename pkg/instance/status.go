package instance

import "time"

// Account is a messenger account that an instance is linked to.
type Account struct {
	// ID is the messenger's own identifier of the linked device or account.
	ID string
	// Phone is in digits, E.164 without the plus; empty when the messenger does not tell.
	Phone string
	// Name is what the account's owner calls himself; may be empty.
	Name string
}

// Status is what the session of an instance is.
type Status struct {
	Phase  Phase
	Reason Reason
	// Detail is for people and may change between versions.
	Detail string
	// Since is when Phase began; a change of reason alone keeps it.
	Since time.Time
	// Until is when a restriction ends; zero where it does not apply.
	Until time.Time
	// Attempt is the number of the last pairing window, from 1.
	Attempt uint64
	// Epoch is the ownership under which the status was published.
	Epoch uint64
	// ObservedRequest is the last request that the status takes into account.
	ObservedRequest uint64
	// Account is nil while not linked.
	Account *Account
	// Passkey is set only in phase PasskeyRequired.
	Passkey *Passkey
	// Previous is the phase of the status before, empty for the first, and
	// PreviouslyLinked whether there was an account then: who shows phases in words
	// of his own tells by them what is a change in his words.
	Previous         Phase
	PreviouslyLinked bool
}

// Passkey is a WebAuthn challenge that finishes a link.
type Passkey struct {
	// Options is PublicKeyCredentialRequestOptions as JSON.
	Options string
	// Confirmation is what the user compares on both screens; empty until the messenger asks for it.
	Confirmation string
	Expires      time.Time
}

// Initial is the status of an instance whose worker has published none yet.
func Initial(created time.Time) Status {
	return Status{Phase: Idle, Reason: ReasonCreated, Detail: "Created; not linked yet. Send connect to get a code.", Since: created}
}
