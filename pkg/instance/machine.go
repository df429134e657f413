package instance

import (
	"math/rand/v2"
	"time"
)

// Limits and intervals of a Machine.
const (
	// SyncTimeout is how long a scanned link may take to come online before it counts as offline or is paired anew.
	SyncTimeout = 60 * time.Second
	// LogoutTimeout is how long a messenger may take to confirm that a device is unlinked.
	LogoutTimeout = 15 * time.Second
	// ReplacedRetry is the wait before the one try after another connection has replaced ours.
	ReplacedRetry = 5 * time.Second
	// OutdatedRetry is how often a linked instance asks whether its client version is accepted again.
	OutdatedRetry = 15 * time.Minute
	// StableAfter is how long a session has to be online for earlier failures to be forgotten.
	StableAfter = 30 * time.Second
)

// DefaultBackoff is the wait between tries to reach a messenger: up to 1 s
// after the first failure, doubling up to 5 min, with full jitter.
func DefaultBackoff() Backoff {
	return Backoff{Base: time.Second, Max: 5 * time.Minute, Rand: rand.Float64}
}

type sessionKind int

const (
	sessionNone sessionKind = iota
	sessionPairing
	sessionLogin
)

// Machine decides what a session does next. It does no I/O, starts no goroutine
// and has no clock: each Step is told the time, and returns what is to be done,
// in order. It is used by one goroutine at a time.
type Machine struct {
	backoff Backoff
	status  Status
	// told and toldLinked are what the last published status said, whoever published it.
	told       Phase
	toldLinked bool
	wish       Wish
	// handled is the last request acted on; what is published as observed.
	handled uint64
	// linked says that the key store holds keys.
	linked  bool
	account Account
	// outdatedHere says that the client version was known to be refused at the adoption.
	outdatedHere bool
	// generation is that of the open session; events of others are stale.
	generation uint64
	// oldVersion is that of a session that was opened with an earlier client version.
	oldVersion uint64
	session    sessionKind
	connected  bool
	// leaving is cmdLogout or cmdDelete while the messenger is told or keys are being forgotten,
	// leavingFor the number of that request, logoutSent the generation of the session that was told.
	leaving         command
	leavingFor      uint64
	logoutSent      uint64
	logoutConfirmed bool
	forgetting      bool
	forgetThen      Closed
	resume          bool
	ended           bool
	attemptInWindow bool
	deadline        time.Time
	codeSequence    uint64
	codeLive        bool
	// opened is what the open window was opened for.
	opened          PairingWish
	typedCodeEnds   time.Time
	pairingCodeLive bool
	failures        int
	replacedOnce    bool
	connectedSince  time.Time
	serials         [Timers]uint64
	armed           [Timers]bool
	now             time.Time
	out             []Output
}

// NewMachine returns a machine that waits for Adopt.
func NewMachine(b Backoff) *Machine { return &Machine{backoff: b} }

// Status returns the status as last published, or as it would be if one had been.
func (m *Machine) Status() Status { return m.status }

// Resting says that nothing is open, under way or timed: the machine can be
// dropped and built again by Adopt when something happens.
func (m *Machine) Resting() bool {
	if m.session != sessionNone || m.leaving != cmdNone || m.forgetting {
		return false
	}
	for _, armed := range m.armed {
		if armed {
			return false
		}
	}
	return true
}

// Step tells the machine what happened at now and returns what is to be done.
// Stale events and timers return nothing.
func (m *Machine) Step(now time.Time, in Input) []Output {
	m.now, m.out = now, nil
	if m.ended {
		return nil
	}
	switch in := in.(type) {
	case Adopt:
		m.adopt(in)
	case WishChanged:
		// What an actor read at its start may be newer than what waits in its mailbox.
		if in.Wish.Last() >= m.wish.Last() {
			m.wish = in.Wish
			m.obey()
		}
	case FromSession:
		if in.Generation == m.generation && m.session != sessionNone {
			m.sessionEvent(in.Event)
		}
	case TimerFired:
		if m.armed[in.Timer] && in.Serial == m.serials[in.Timer] {
			m.armed[in.Timer] = false
			m.timer(in.Timer)
		}
	case Touched:
		m.touch()
	case LogoutDone:
		if in.Generation == m.logoutSent && m.leaving != cmdNone && !m.forgetting {
			m.logoutConfirmed = in.Confirmed
			m.forget()
		}
	case KeysForgotten:
		m.forgotten(in.Failed)
	case VersionChanged:
		m.versionChanged()
	case VersionRefused:
		m.versionRefused()
	}
	return m.out
}

func (m *Machine) emit(o Output) { m.out = append(m.out, o) }

// to publishes a status of the given phase and reason, if the table allows it.
func (m *Machine) to(phase Phase, reason Reason, detail string) bool {
	return m.toUntil(phase, reason, detail, time.Time{})
}

func (m *Machine) toUntil(phase Phase, reason Reason, detail string, until time.Time) bool {
	if !Allowed(m.status.Phase, phase) {
		m.emit(RefusedTransition{From: m.status.Phase, To: phase, Reason: reason})
		return false
	}
	if m.status.Phase != phase {
		m.status.Since = m.now
	}
	m.status.Phase, m.status.Reason, m.status.Detail, m.status.Until = phase, reason, detail, until
	m.publish()
	return true
}

// publish sends the status as it stands, with what goes with every status.
func (m *Machine) publish() {
	m.status.ObservedRequest = m.handled
	if m.status.Phase != PasskeyRequired {
		m.status.Passkey = nil
	}
	m.status.Account = nil
	if m.linked {
		account := m.account
		m.status.Account = &account
	}
	m.status.Previous, m.status.PreviouslyLinked = m.told, m.toldLinked
	m.told, m.toldLinked = m.status.Phase, m.linked
	m.emit(PublishStatus{Status: m.status})
}

// publishAnew sends the status of the last owner under the new epoch, unless that was done already.
func (m *Machine) publishAnew() {
	if len(m.out) == 0 {
		m.publish()
	}
}

func (m *Machine) setTimer(t Timer, after time.Duration) {
	m.serials[t]++
	m.armed[t] = true
	m.emit(SetTimer{Timer: t, Serial: m.serials[t], After: max(after, 0)})
}

func (m *Machine) stopTimer(t Timer) {
	if m.armed[t] {
		m.armed[t] = false
		m.emit(StopTimer{Timer: t})
	}
}

func (m *Machine) closeSession() {
	if m.session != sessionNone {
		m.emit(CloseSession{})
		m.sessionOver()
	}
}

// sessionOver forgets the session; whatever it still says is stale.
func (m *Machine) sessionOver() {
	m.session = sessionNone
	m.connected = false
	m.generation++
}

func (m *Machine) openLogin() {
	m.closeSession()
	m.stopTimer(TimerRetry)
	m.generation++
	m.session = sessionLogin
	m.emit(OpenLogin{Generation: m.generation})
}

func (m *Machine) openPairing() {
	m.closeSession()
	m.stopTimer(TimerRetry)
	m.generation++
	m.session = sessionPairing
	m.emit(OpenPairing{Generation: m.generation, Method: m.opened.Method, Phone: m.opened.Phone})
}

// setUntil lets a restriction end by itself, or not when the messenger names no end.
func (m *Machine) setUntil(until time.Time) {
	if until.IsZero() {
		m.stopTimer(TimerUntil)
		return
	}
	m.setTimer(TimerUntil, until.Sub(m.now))
}

func (m *Machine) retry(after time.Duration) { m.setTimer(TimerRetry, after) }

// backOff counts a failure and returns how long to wait before the next try, at least until until.
func (m *Machine) backOff(until time.Time) time.Duration {
	m.failures++
	return max(m.backoff.After(m.failures), until.Sub(m.now))
}

func (m *Machine) timer(t Timer) {
	switch t {
	case TimerWindow:
		m.windowTimer()
	case TimerRetry:
		m.retryTimer()
	case TimerSync:
		m.syncTimer()
	case TimerUntil:
		m.untilTimer()
	case TimerLogout:
		if m.leaving != cmdNone && !m.forgetting {
			m.forget()
		}
	case TimerForget:
		m.emit(ForgetKeys{})
	}
}

func (m *Machine) retryTimer() {
	switch {
	case m.forgetting || m.session != sessionNone:
	case m.linked:
		m.openLogin()
	case m.leaving == cmdNone && m.status.Phase == Connecting:
		m.openPairing()
	}
}

func (m *Machine) untilTimer() {
	switch m.status.Phase {
	case Suspended:
		m.to(Online, ReasonRestrictionEnded, "The restriction has ended.")
	case Blocked:
		if m.linked {
			m.openLogin()
			return
		}
		m.to(Idle, ReasonRestrictionEnded, "The block has ended. Send connect to link again.")
	}
}
