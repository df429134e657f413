package instance

import "time"

// openWindow begins a new attempt.
func (m *Machine) openWindow(reason Reason, detail string) {
	m.withdraw()
	m.closeSession()
	m.stopTimer(TimerUntil)
	m.stopTimer(TimerSync)
	m.failures = 0
	m.replacedOnce = false
	m.codeSequence = 0
	m.status.Attempt++
	m.attemptInWindow = true
	m.opened = m.wish.Pairing
	m.deadline = m.now
	if !m.extend() {
		m.status.Attempt--
		m.endWindow()
		return
	}
	m.to(Connecting, reason, detail)
	m.openPairing()
}

// satisfies says whether the open window already is what the wish asks for. A
// window with a pairing code shows the QR too. A pairing code that has run out
// is worth a new window.
func (m *Machine) satisfies() bool {
	if m.wish.Pairing.Method != MethodCode || m.status.Phase != Connecting && m.status.Phase != Pairing {
		return true
	}
	return m.opened.Method == MethodCode && m.opened.Phone == m.wish.Pairing.Phone &&
		(!m.pairingCodeLive || m.now.Before(m.typedCodeEnds))
}

// extend moves the end of the window to its full length from now, but not
// beyond what its request allows; false when that has passed.
func (m *Machine) extend() bool {
	length := m.wish.Pairing.window()
	end := m.now.Add(length)
	if last := m.wish.Pairing.RequestedAt.Add(max(MaxWindow, length)); !m.wish.Pairing.RequestedAt.IsZero() && end.After(last) {
		end = last
	}
	if end.After(m.deadline) {
		m.deadline = end
	}
	if !m.deadline.After(m.now) {
		return false
	}
	if !m.armed[TimerWindow] {
		m.setTimer(TimerWindow, m.deadline.Sub(m.now))
	}
	return true
}

func (m *Machine) touch() {
	if m.attemptInWindow && m.leaving == cmdNone {
		m.extend()
	}
}

// windowTimer ends the window, or waits on where it was extended meanwhile. A
// phone that has scanned is not turned away.
func (m *Machine) windowTimer() {
	if !m.attemptInWindow || m.leaving != cmdNone {
		return
	}
	if left := m.deadline.Sub(m.now); left > 0 {
		m.setTimer(TimerWindow, left)
		return
	}
	if m.status.Phase != Syncing {
		m.endWindow()
	}
}

func (m *Machine) endWindow() {
	m.withdraw()
	m.closeSession()
	m.leaveWindow()
	m.stopTimer(TimerRetry)
	m.to(Idle, ReasonQRTimeout, "Nobody scanned the code in time. Send connect for a new one.")
}

// leaveWindow forgets the window without publishing anything.
func (m *Machine) leaveWindow() {
	m.attemptInWindow = false
	m.stopTimer(TimerWindow)
	m.stopTimer(TimerSync)
}

// withdraw takes back what is shown, before the status that says why: a picture
// still being drawn then fails its condition and never appears.
func (m *Machine) withdraw() {
	if m.codeLive {
		m.codeLive = false
		m.emit(PublishCode{Code: ShownCode{Attempt: m.status.Attempt, Sequence: m.codeSequence, Issued: m.now, Expires: m.now}})
	}
	if m.pairingCodeLive {
		m.pairingCodeLive = false
		m.emit(PublishPairingCode{Code: TypedCode{Attempt: m.status.Attempt, Issued: m.now, Expires: m.now}})
	}
}

// show makes the phase Pairing before the first code of an attempt; a refresh publishes no status.
func (m *Machine) show(reason Reason, detail string) bool {
	switch m.status.Phase {
	case Pairing:
		return true
	case Connecting:
		return m.to(Pairing, reason, detail)
	}
	return false
}

func (m *Machine) codeIssued(e CodeIssued) {
	if !m.show(ReasonQRIssued, "Scan the QR code with the phone.") {
		return
	}
	m.codeSequence++
	m.codeLive = true
	m.emit(PublishCode{Code: ShownCode{Text: e.Text, Attempt: m.status.Attempt, Sequence: m.codeSequence,
		Issued: orNow(e.Issued, m.now), Expires: e.Expires}})
}

func (m *Machine) pairingCodeIssued(e PairingCodeIssued) {
	if !m.show(ReasonCodeIssued, "Type the pairing code on the phone.") {
		return
	}
	m.pairingCodeLive, m.typedCodeEnds = true, e.Expires
	m.emit(PublishPairingCode{Code: TypedCode{Code: e.Code, Phone: e.Phone, Attempt: m.status.Attempt,
		Issued: orNow(e.Issued, m.now), Expires: e.Expires}})
}

func orNow(t, now time.Time) time.Time {
	if t.IsZero() {
		return now
	}
	return t
}
