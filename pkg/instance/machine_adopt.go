package instance

// adopt takes over where the last owner stopped. Commands that nobody has acted
// on come first, because they may make resuming pointless.
func (m *Machine) adopt(in Adopt) {
	m.wish = in.Wish
	m.linked, m.account, m.outdatedHere = in.Linked, in.Account, in.VersionRefused
	if in.Last == nil {
		m.status = Initial(in.Created)
		m.status.Epoch = in.Epoch
		m.withoutStatus()
		return
	}
	m.status = *in.Last
	m.told, m.toldLinked = in.Last.Phase, in.Last.Account != nil
	m.status.Epoch = in.Epoch
	m.handled = in.Last.ObservedRequest
	if m.status.Phase == Deleted {
		m.end()
		return
	}
	if m.status.Phase == Idle && m.linked {
		// A link that was finished while its window ended. Nobody was told of it, so it
		// is undone before anything else is.
		m.leave(cmdLogout, m.handled)
	}
	if m.status.Phase == Pairing {
		// What the last owner showed is still there to be seen.
		m.codeLive, m.pairingCodeLive = true, m.wish.Pairing.Method == MethodCode
	}
	if !m.linked && in.Last.Account != nil {
		// The link is kept in mind: keys may be restored, and a logout still has to be possible.
		m.linked, m.account = true, *in.Last.Account
		m.keysMissing()
	}
	m.carryOn()
}

// withoutStatus begins with an instance that has no status. Keys are there only
// when the statuses were lost: then what was asked before the last connect is
// past, and a phone is not made to link again.
func (m *Machine) withoutStatus() {
	if !m.linked {
		m.obey()
		return
	}
	m.status.Phase, m.status.Since = Offline, m.now
	m.handled = max(m.wish.Connect, m.wish.Restart)
	m.carryOn()
}

// carryOn does what was asked for, or else resumes what the last status tells of.
func (m *Machine) carryOn() {
	m.resume = m.leaving == cmdNone
	m.obey()
	if m.resume {
		m.resume = false
		m.takeUp()
	}
}

// takeUp resumes what the last status tells of.
func (m *Machine) takeUp() {
	switch phase := m.status.Phase; {
	case phase == Idle:
		m.publishAnew()
	case phase.Window() && !m.linked:
		m.openWindow(ReasonWorkerLost, "The worker that showed the code was lost; a new code follows.")
	case OnlyUserLeaves(m.status):
		m.publishAnew()
	case phase == Blocked:
		m.publish()
		m.setTimer(TimerUntil, m.status.Until.Sub(m.now))
	case phase == Outdated && !m.linked && !m.outdatedHere:
		m.to(Idle, ReasonVersionChanged, "This worker's client version is not known to be refused. Send connect to link.")
	case phase == Outdated:
		m.publish()
		if m.linked {
			m.openLogin()
		}
	default:
		m.withdraw()
		m.to(Offline, ReasonWorkerLost, "The worker that held the session was lost; logging in again.")
		m.openLogin()
	}
}

func (m *Machine) keysMissing() {
	m.withdraw()
	if m.status.Phase == Offline && m.status.Reason == ReasonKeysMissing {
		return
	}
	m.to(Offline, ReasonKeysMissing,
		"The keys of the linked device are not in this worker's key store. Restore the store, or log out and link again.")
}
