package instance

// obey acts on every request that was not acted on, in the order of their numbers.
func (m *Machine) obey() {
	for m.leaving != cmdDelete && !m.ended {
		cmd, number := m.wish.next(m.handled)
		if cmd == cmdNone {
			return
		}
		if m.forgetting && m.leaving == cmdNone {
			return // What comes after the keys are gone goes on from there.
		}
		if m.leaving == cmdLogout {
			if cmd == cmdDelete {
				m.leaving = cmdDelete
			}
			return
		}
		m.resume = false
		switch cmd {
		case cmdConnect:
			m.handled = number
			m.connect()
		case cmdRestart:
			m.handled = number
			m.restart()
		default:
			m.leave(cmd, number)
		}
	}
}

func (m *Machine) connect() {
	switch {
	case m.linked && (m.session != sessionNone || m.status.Phase == Syncing):
		// Who asks every second must not begin the login anew each time.
		m.replacedOnce = false
		m.publish()
	case m.linked:
		m.tryNow(ReasonConnectRequested, "Logging in, as asked.")
	case m.status.Phase.Window() && m.session != sessionNone && m.satisfies():
		m.extend()
		m.publish()
	case m.status.Phase == Connecting && m.armed[TimerRetry] && m.satisfies():
		m.extend()
		m.publish()
		m.openPairing()
	default:
		m.openWindow(ReasonConnectRequested, "Asking the messenger for a code.")
	}
}

// tryNow logs in at once, whatever the wait was.
func (m *Machine) tryNow(reason Reason, detail string) {
	m.replacedOnce = false
	m.stopTimer(TimerUntil)
	m.withdraw()
	m.to(Offline, reason, detail)
	m.openLogin()
}

func (m *Machine) restart() {
	switch {
	case m.linked:
		m.closeSession()
		m.leaveWindow()
		m.tryNow(ReasonRestartRequested, "Restarting the session, as asked.")
	case m.status.Phase.Window():
		m.openWindow(ReasonRestartRequested, "Restarting the pairing, as asked.")
	default:
		m.publish()
	}
}

// leave starts a logout or a deletion. The messenger is told first; the keys
// go in any case, so that it always ends.
func (m *Machine) leave(cmd command, number uint64) {
	m.leaving, m.leavingFor, m.logoutSent = cmd, number, 0
	m.logoutConfirmed = false
	m.withdraw()
	m.leaveWindow()
	m.stopTimer(TimerRetry)
	m.stopTimer(TimerUntil)
	if !m.linked {
		m.closeSession()
		m.logoutConfirmed = true
		if m.status.Phase == Idle && cmd == cmdLogout {
			m.left()
			return
		}
		m.forget()
		return
	}
	m.setTimer(TimerLogout, LogoutTimeout)
	if m.connected {
		m.logoutSession()
		return
	}
	if m.session == sessionNone {
		m.openLogin()
	}
}

func (m *Machine) logoutSession() {
	m.logoutSent = m.generation
	m.emit(LogoutSession{Generation: m.generation, Deadline: m.now.Add(LogoutTimeout)})
}

// forget deletes the keys; what follows is in forgotten.
func (m *Machine) forget() {
	m.stopTimer(TimerLogout)
	m.stopTimer(TimerRetry)
	m.closeSession()
	m.forgetting = true
	m.emit(ForgetKeys{})
}

func (m *Machine) forgotten(failed bool) {
	if !m.forgetting {
		return
	}
	if failed {
		m.failures++
		m.setTimer(TimerForget, m.backoff.After(m.failures))
		return
	}
	m.forgetting = false
	m.failures = 0
	m.linked, m.account = false, Account{}
	if m.leaving == cmdNone {
		m.to(Idle, m.forgetThen.Reason, orDefault(m.forgetThen.Detail, "The device was unlinked on the phone. Send connect to link again."))
		m.obey()
		return
	}
	m.left()
}

// left publishes the outcome of a logout or a deletion.
func (m *Machine) left() {
	cmd := m.leaving
	m.leaving = cmdNone
	if cmd == cmdDelete {
		m.handled = m.wish.Last()
		detail := "Deleted."
		if !m.logoutConfirmed {
			detail = "Deleted; the messenger did not confirm that the device was unlinked."
		}
		m.to(Deleted, ReasonDeleted, detail)
		m.end()
		return
	}
	m.handled = m.leavingFor
	switch {
	case m.status.Phase == Idle:
		m.publish()
	case m.logoutConfirmed:
		m.to(Idle, ReasonLoggedOutByUser, "Logged out, as asked.")
	default:
		m.to(Idle, ReasonLoggedOutByUser,
			"Logged out here, as asked; the messenger did not confirm it. Check the list of linked devices on the phone.")
	}
	m.obey()
}

func (m *Machine) end() {
	m.ended = true
	for t := range Timers {
		m.stopTimer(t)
	}
	m.emit(End{})
}
