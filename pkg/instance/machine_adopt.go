package instance

// adopt takes over where the last owner stopped. Commands that nobody has acted
// on come first, because they may make resuming pointless.
func (m *Machine) adopt(in Adopt) {
	m.wish = in.Wish
	m.linked, m.account = in.Linked, in.Account
	if in.Last == nil {
		m.status = Initial(in.Created)
		m.status.Epoch = in.Epoch
		m.obey()
		return
	}
	m.status = *in.Last
	m.status.Epoch = in.Epoch
	m.handled = in.Last.ObservedRequest
	if m.status.Phase == Deleted {
		m.end()
		return
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
	m.resume = true
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
