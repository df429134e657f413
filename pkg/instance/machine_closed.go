package instance

import "time"

// closed takes the end of the open session.
func (m *Machine) closed(e Closed) {
	wasConnected := m.connected
	before := m.oldVersion == m.generation
	m.sessionOver()
	if wasConnected && m.now.Sub(m.connectedSince) >= StableAfter {
		m.failures, m.replacedOnce = 0, false
	}
	switch {
	case m.forgetting:
	case m.leaving != cmdNone:
		m.closedLeaving(e)
	case before && e.Reason == ReasonClientOutdated:
		m.refusedBeforeChange()
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
	case ReasonProviderMissing:
		// The next owner tries again; this one gets no driver while it lives.
		m.offline(e)
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
	if m.toUntil(Blocked, ReasonBanned, orDefault(e.Detail, "The messenger refuses the account."), e.Until) {
		m.setUntil(e.Until)
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
