package instance

import "time"

// Input is what a Machine is told. The concrete types below are all there are.
type Input interface{ input() }

type (
	// Adopt is the first input: a worker has become the owner.
	Adopt struct {
		Epoch uint64
		// Last is the last published status; nil when there is none.
		Last *Status
		// Created is when the instance was created.
		Created time.Time
		// Linked says that the key store holds keys for the instance. When Last tells
		// of a phase other than idle, or of none, they are logged in with; beside idle
		// they are of a link that came too late, and the device is unlinked again.
		Linked bool
		// Account is the account of those keys.
		Account Account
		// VersionRefused says that the messenger is known to refuse the client version
		// in force. Where it is not, an instance without keys is outdated no longer.
		VersionRefused bool
		Wish           Wish
	}

	// WishChanged brings the latest wish. Older and equal ones are harmless.
	WishChanged struct{ Wish Wish }

	// FromSession is an event of the session that was opened under Generation.
	FromSession struct {
		Generation uint64
		Event      SessionEvent
	}

	// TimerFired says that a timer set by SetTimer has run down.
	TimerFired struct {
		Timer  Timer
		Serial uint64
	}

	// Touched says that somebody looks at the codes: the window is extended.
	Touched struct{}

	// LogoutDone answers LogoutSession. Every LogoutSession is answered.
	LogoutDone struct {
		Generation uint64
		Confirmed  bool
	}

	// KeysForgotten answers ForgetKeys.
	KeysForgotten struct{ Failed bool }

	// VersionChanged says that the client version shown to the messenger is another one now.
	VersionChanged struct{}

	// VersionRefused says that the messenger was found to refuse the client version in force.
	VersionRefused struct{}
)

func (Adopt) input()          {}
func (WishChanged) input()    {}
func (FromSession) input()    {}
func (TimerFired) input()     {}
func (Touched) input()        {}
func (LogoutDone) input()     {}
func (KeysForgotten) input()  {}
func (VersionChanged) input() {}
func (VersionRefused) input() {}

// Output is what a Machine asks for. Outputs are carried out in their order.
// The concrete types below are all there are.
type Output interface{ output() }

// ShownCode is one QR text of a pairing window; an empty Text withdraws the one before.
type ShownCode struct {
	Text     string
	Attempt  uint64
	Sequence uint64
	Issued   time.Time
	Expires  time.Time
}

// TypedCode is a pairing code to be typed on the phone; an empty Code withdraws the one before.
type TypedCode struct {
	Code    string
	Phone   string
	Attempt uint64
	Issued  time.Time
	Expires time.Time
}

type (
	// PublishStatus makes Status the fact.
	PublishStatus struct{ Status Status }

	// PublishCode shows or withdraws a QR text.
	PublishCode struct{ Code ShownCode }

	// PublishPairingCode shows or withdraws a pairing code.
	PublishPairingCode struct{ Code TypedCode }

	// PublishPasskey shows a passkey challenge; it is withdrawn by the status that follows.
	PublishPasskey struct {
		Attempt   uint64
		Challenge Passkey
	}

	// OpenPairing opens a session that links a new device.
	OpenPairing struct {
		Generation uint64
		Method     Method
		Phone      string
	}

	// OpenLogin opens a session with the stored keys.
	OpenLogin struct{ Generation uint64 }

	// CloseSession closes the open session without unlinking.
	CloseSession struct{}

	// LogoutSession unlinks the open session at the messenger and answers with LogoutDone.
	LogoutSession struct {
		Generation uint64
		// Deadline is when to give up.
		Deadline time.Time
	}

	// ForgetKeys deletes the stored keys and answers with KeysForgotten.
	ForgetKeys struct{}

	// SetTimer asks for a TimerFired after After; it replaces the timer's earlier setting.
	SetTimer struct {
		Timer  Timer
		Serial uint64
		After  time.Duration
	}

	// StopTimer says that the timer is not needed any more.
	StopTimer struct{ Timer Timer }

	// RefusedTransition reports a bug: a transition that the table does not allow was asked for and not made.
	RefusedTransition struct {
		From, To Phase
		Reason   Reason
	}

	// End says that the instance is deleted and its last status published.
	End struct{}
)

func (PublishStatus) output()      {}
func (PublishCode) output()        {}
func (PublishPairingCode) output() {}
func (PublishPasskey) output()     {}
func (OpenPairing) output()        {}
func (OpenLogin) output()          {}
func (CloseSession) output()       {}
func (LogoutSession) output()      {}
func (ForgetKeys) output()         {}
func (SetTimer) output()           {}
func (StopTimer) output()          {}
func (RefusedTransition) output()  {}
func (End) output()                {}

// Timer names one of the timers of a Machine.
type Timer int

// The timers of a Machine.
const (
	// TimerWindow ends the pairing window.
	TimerWindow Timer = iota
	// TimerRetry opens the next session after one that failed.
	TimerRetry
	// TimerSync ends a link that was scanned but does not come online.
	TimerSync
	// TimerUntil ends a restriction.
	TimerUntil
	// TimerLogout gives up unlinking at the messenger.
	TimerLogout
	// TimerForget tries again to delete keys.
	TimerForget
	// Timers is how many there are.
	Timers
)

// Backoff decides how long to wait before the next try.
type Backoff struct {
	// Base is the most that is waited after the first failure; it doubles with each further one.
	Base time.Duration
	// Max is the most that is ever waited.
	Max time.Duration
	// Rand returns a number in [0, 1); the wait is that share of the bound ("full jitter"),
	// so that sessions that were lost together do not come back together.
	Rand func() float64
}

// After returns the wait after the given number of failures, counted from 1.
func (b Backoff) After(failures int) time.Duration {
	bound := b.Max
	if shift := failures - 1; shift < 30 && b.Base<<shift < b.Max {
		bound = b.Base << shift
	}
	return time.Duration(float64(bound) * b.Rand())
}
