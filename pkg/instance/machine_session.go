package instance

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
		if !m.askUser() {
			return
		}
		reason, detail := ReasonPasswordNeeded, "The account asks for its password."
		if e.Wrong {
			reason, detail = ReasonPasswordWrong, "The password was wrong; the account asks for it again."
		}
		m.to(PasswordRequired, reason, detail)
	case PasskeyNeeded:
		if !m.askUser() {
			return
		}
		challenge := e.Challenge
		m.status.Passkey = &challenge
		if m.to(PasskeyRequired, ReasonPasskeyNeeded, "The account asks for a passkey.") {
			m.emit(PublishPasskey{Attempt: m.status.Attempt, Challenge: challenge})
		}
	case Scanned:
		m.syncing()
	}
}

// askUser makes room for a question: the codes go, and the user gets a full
// window to answer. A window that has had its time ends instead: false.
func (m *Machine) askUser() bool {
	m.withdraw()
	m.stopTimer(TimerSync)
	if !m.extend() {
		m.endWindow()
		return false
	}
	return true
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
	if m.toUntil(Suspended, ReasonRestricted, detail, e.Until) {
		m.setUntil(e.Until)
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
