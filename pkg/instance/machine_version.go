package instance

// versionChanged lets what was refused for the old client version begin with the new one.
func (m *Machine) versionChanged() {
	if m.leaving != cmdNone || m.forgetting {
		return
	}
	if m.session != sessionNone && !m.connected {
		m.oldVersion = m.generation
	}
	if m.status.Phase != Outdated {
		return
	}
	if !m.linked {
		m.to(Idle, ReasonVersionChanged, "The client version was changed. Send connect to link.")
		return
	}
	if m.session == sessionNone {
		m.openLogin()
	}
}

// versionRefused ends the wait for the next try: that will be refused too, so
// the instance is outdated now and not minutes later.
func (m *Machine) versionRefused() {
	if m.armed[TimerRetry] && m.leaving == cmdNone && m.status.Phase != Outdated {
		m.retryTimer()
	}
}

// refusedBeforeChange takes the refusal of a session that showed the version
// from before a change. It says nothing of the new one, which is tried at once.
func (m *Machine) refusedBeforeChange() {
	if m.linked {
		m.openLogin()
		return
	}
	m.withdraw()
	m.pairAgain(Closed{Reason: ReasonVersionChanged, Detail: "The client version was changed meanwhile; asking for a code with the new one."})
}
