package instance

import "time"

// sessionEvent takes an event of the open session.
func (m *Machine) sessionEvent(e SessionEvent) {
	switch e := e.(type) {
	case Closed:
		m.closed(e)
		return
	case Connected:
		m.onConnected(e.Account)
		return
	case Linked:
		m.onLinked(e.Account)
		return
	}
	if m.leaving != cmdNone {
		return
	}
	switch e := e.(type) {
	case Restricted:
		if m.connected {
			m.restricted(e)
		}
	case Unrestricted:
		if m.status.Phase == Suspended {
			m.stopTimer(TimerUntil)
			m.to(Online, ReasonRestrictionEnded, "The restriction has ended.")
		}
	default:
		if m.session == sessionPairing && !m.linked {
			m.pairingEvent(e)
		}
	}
}

// pairingEvent takes what only a linking session tells, before it is linked.
func (m *Machine) pairingEvent(e SessionEvent) {
	switch e := e.(type) {
	case CodeIssued:
		m.codeIssued(e)
	case PairingCodeIssued:
		m.pairingCodeIssued(e)
	case PasswordNeeded:
		m.askUser()
		reason, detail := ReasonPasswordNeeded, "The account asks for its password."
		if e.Wrong {
			reason, detail = ReasonPasswordWrong, "The password was wrong; the account asks for it again."
		}
		m.to(PasswordRequired, reason, detail)
	case PasskeyNeeded:
		m.askUser()
		challenge := e.Challenge
		m.status.Passkey = &challenge
		if m.to(PasskeyRequired, ReasonPasskeyNeeded, "The account asks for a passkey.") {
			m.emit(PublishPasskey{Attempt: m.status.Attempt, Challenge: challenge})
		}
	case Scanned:
		m.syncing()
	}
}

// askUser makes room for a question: the codes go, and the user gets a full window to answer.
func (m *Machine) askUser() {
	m.withdraw()
	m.stopTimer(TimerSync)
	m.extend()
}

func (m *Machine) syncing() {
	if m.status.Phase == Syncing {
		return
	}
	m.withdraw()
	m.setTimer(TimerSync, SyncTimeout)
	m.to(Syncing, ReasonScanned, "Scanned; finishing the link.")
}

func (m *Machine) onLinked(a Account) {
	if m.session != sessionPairing || m.linked {
		return
	}
	m.linked, m.account = true, a
	m.failures = 0
	if m.leaving != cmdNone {
		return
	}
	m.syncing()
	m.setTimer(TimerSync, SyncTimeout)
}

func (m *Machine) onConnected(a Account) {
	if !m.linked {
		return
	}
	m.account = a
	m.connected = true
	m.connectedSince = m.now
	if m.leaving != cmdNone {
		if !m.forgetting {
			m.logoutSession()
		}
		return
	}
	reason, detail := ReasonReconnected, "Connected again."
	if m.attemptInWindow {
		reason, detail = ReasonLinked, "Linked and connected."
	}
	m.withdraw()
	m.leaveWindow()
	m.stopTimer(TimerUntil)
	if m.status.Phase == Online {
		m.publish()
		return
	}
	m.to(Online, reason, detail)
}

func (m *Machine) restricted(e Restricted) {
	detail := e.Detail
	if detail == "" {
		detail = "The messenger restricts the account."
	}
	if m.toUntil(Suspended, ReasonRestricted, detail, e.Until) && !e.Until.IsZero() {
		m.setTimer(TimerUntil, e.Until.Sub(m.now))
	}
}

// syncTimer ends a link that was scanned and then went silent.
func (m *Machine) syncTimer() {
	if m.status.Phase != Syncing || m.leaving != cmdNone {
		return
	}
	m.closeSession()
	if m.linked {
		m.leaveWindow()
		m.to(Offline, ReasonConnectionClosed, "Linked, but the messenger did not finish in time; logging in again.")
		m.retry(m.backOff(m.now))
		return
	}
	m.pairAgain(Closed{Reason: ReasonConnectionClosed, Detail: "The phone scanned the code, but the link was not finished in time."})
}

// closed takes the end of the open session.
func (m *Machine) closed(e Closed) {
	wasConnected := m.connected
	m.sessionOver()
	if wasConnected && m.now.Sub(m.connectedSince) >= StableAfter {
		m.failures, m.replacedOnce = 0, false
	}
	switch {
	case m.forgetting:
	case m.leaving != cmdNone:
		m.closedLeaving(e)
	case m.linked:
		m.closedLinked(e)
	default:
		m.closedPairing(e)
	}
}

// closedLeaving decides whether a logout that lost its session tries again. One
// that was sent is not: its answer comes as LogoutDone, or the timer ends it.
func (m *Machine) closedLeaving(e Closed) {
	switch {
	case e.Reason == ReasonLoggedOutOnPhone:
		m.logoutConfirmed = true
		m.forget()
	case m.logoutSent != 0:
	case tryAgain(e.Reason):
		m.retry(m.backOff(e.Until))
	default:
		m.forget()
	}
}

// tryAgain says whether a session that closed with the reason is worth another try with the same keys.
func tryAgain(r Reason) bool {
	switch r {
	case ReasonUnreachable, ReasonConnectionClosed, ReasonKeepaliveTimeout, ReasonThrottled, ReasonInternal, ReasonLoginRefused:
		return true
	}
	return false
}

func (m *Machine) closedLinked(e Closed) {
	if m.status.Phase == Syncing && tryAgain(e.Reason) {
		// Messengers close the connection once after a link and expect a login.
		m.retry(m.syncRetry())
		return
	}
	m.withdraw()
	m.leaveWindow()
	m.stopTimer(TimerUntil)
	switch e.Reason {
	case ReasonLoggedOutOnPhone, ReasonWrongPhone, ReasonPairingRefused:
		m.forgetThen = e
		m.forgetting = true
		m.emit(ForgetKeys{})
	case ReasonBanned:
		m.blocked(e)
	case ReasonClientOutdated:
		m.outdated(e)
		m.retry(OutdatedRetry/2 + m.backoffShare(OutdatedRetry))
	case ReasonKeysMissing:
		m.keysMissing()
	case ReasonReplaced:
		if m.replacedOnce {
			m.offline(Closed{Reason: ReasonReplaced, Detail: "Another connection of the same device took over twice. Stop the other one, then send connect or restart."})
			return
		}
		m.replacedOnce = true
		m.offline(Closed{Reason: ReasonConnectionClosed, Detail: "Another connection of the same device took over; trying once more."})
		m.retry(ReplacedRetry)
	default:
		m.offline(e)
		m.retry(m.backOff(e.Until))
	}
}

// syncRetry is the wait before logging in after a link: none the first time.
func (m *Machine) syncRetry() (wait time.Duration) {
	if m.failures > 0 {
		wait = m.backoff.After(m.failures)
	}
	m.failures++
	return wait
}

func (m *Machine) backoffShare(d time.Duration) time.Duration {
	return time.Duration(float64(d) * m.backoff.Rand())
}

// offline publishes that the session is lost, unless that is what the last
// status says: a messenger that stays away is not news at every try. An
// account that is blocked or outdated stays so until a login succeeds.
func (m *Machine) offline(e Closed) {
	switch m.status.Phase {
	case Outdated, Blocked:
		if tryAgain(e.Reason) {
			return
		}
	case Offline:
		if m.status.Reason == e.Reason {
			return
		}
	}
	m.to(Offline, e.Reason, e.Detail)
}

func (m *Machine) blocked(e Closed) {
	m.stopTimer(TimerRetry)
	if m.toUntil(Blocked, ReasonBanned, orDefault(e.Detail, "The messenger refuses the account."), e.Until) && !e.Until.IsZero() {
		m.setTimer(TimerUntil, e.Until.Sub(m.now))
	}
}

func (m *Machine) outdated(e Closed) {
	if m.status.Phase == Outdated {
		return
	}
	m.to(Outdated, ReasonClientOutdated, orDefault(e.Detail, "The messenger refuses our client version. Set a newer one."))
}

// closedPairing takes the end of a session that did not link.
func (m *Machine) closedPairing(e Closed) {
	m.withdraw()
	switch e.Reason {
	case ReasonBanned:
		m.leaveWindow()
		m.blocked(e)
	case ReasonClientOutdated:
		m.leaveWindow()
		m.outdated(e)
	case ReasonPairingRefused, ReasonWrongPhone, ReasonProviderMissing, ReasonLoggedOutOnPhone:
		m.leaveWindow()
		m.to(Idle, e.Reason, e.Detail)
	default:
		m.pairAgain(e)
	}
}

// pairAgain opens the next linking session of the same window.
func (m *Machine) pairAgain(e Closed) {
	if !m.deadline.After(m.now) {
		m.endWindow()
		return
	}
	m.stopTimer(TimerSync)
	reason, detail, wait := e.Reason, e.Detail, time.Duration(0)
	if e.Reason == ReasonQRTimeout {
		reason, detail = ReasonConnectRequested, "The messenger's codes were used up; asking for more."
	} else {
		wait = m.backOff(e.Until)
	}
	if m.status.Phase != Connecting || m.status.Reason != reason {
		m.to(Connecting, reason, detail)
	}
	if wait == 0 {
		m.openPairing()
		return
	}
	m.retry(wait)
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
