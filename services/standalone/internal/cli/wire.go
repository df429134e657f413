package cli

import "time"

// The answers of the gateway, as far as text shows them.

type accountBody struct{ ID, Phone, Name string }

type statusBody struct {
	Phase, Reason, Detail string
	Since, Until          time.Time
	Attempt               uint64 `json:",string"`
	ObservedRequest       uint64 `json:",string"`
	Account               *accountBody
	// Of the answer to connect alone.
	QR          *codeBody
	PairingCode *codeBody
}

// codeBody is a QR or a pairing code.
type codeBody struct {
	Code      string
	Attempt   uint64 `json:",string"`
	Sequence  uint64 `json:",string"`
	ExpiresAt time.Time
}

type instanceBody struct {
	ID, Name, Number, Provider, Phone string
	QRTimeout                         uint32
	Request                           uint64 `json:",string"`
	Status                            statusBody
}

type webhookBody struct {
	ID, InstanceID, URL, Secret, Format, DisabledReason string
	Events                                              []string
	Enabled                                             bool
}

type attemptBody struct {
	DurationMs uint32
	StatusCode uint32
	Error      string
}

type deliveryBody struct {
	ID, Kind, State, Reason string
	Sequence                uint64 `json:",string"`
	Attempts                uint32
	NextAttemptAt           time.Time
	LastAttempt             *attemptBody
}

type eventBody struct {
	Kind        string
	Time        time.Time
	Attempt     uint64 `json:",string"`
	Sequence    uint64 `json:",string"`
	Instance    struct{ ID, Name string }
	Status      *statusBody
	Code        *codeBody
	QR          *codeBody
	PairingCode *codeBody
	Passkey     *struct{ Options, Confirmation string }
}
